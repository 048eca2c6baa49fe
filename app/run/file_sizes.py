"""The sizes of the files that other sparsities would give, as a picture and as a list."""

from __future__ import annotations

from html import escape

import streamlit as st

from app.services import ENCODINGS, PRIMARY, EngineError, Run, RunRecord, sizes
from app.services.scores import Cut
from app.ui.findings import plain
from app.ui.format import percent, size
from app.ui.glossary import TERMS
from app.ui.plots import show_file_sizes

STYLE = """
<style>
.encodings { margin: 0; font-size: 0.9375rem; border-collapse: collapse; }
.encodings td, .encodings th { border: none; padding: 0.2rem 1.25rem 0.2rem 0;
  text-align: left; font-weight: 400; vertical-align: top; }
.encodings th[scope=col] { font-size: 0.8125rem; opacity: 0.8; }
.encodings td.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; font-weight: 600; }
@media (max-width: 640px) {
  .encodings thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .encodings, .encodings tbody { display: block; }
  .encodings tr { display: grid; grid-template-columns: 1fr auto; padding: 0.375rem 0; }
  .encodings td, .encodings th { padding: 0; }
  .encodings td:empty { display: none; }
  .encodings td.more { grid-column: 1 / -1; font-size: 0.8125rem; opacity: 0.8; }
}
</style>
"""


def show_sizes(run: Run, result: RunRecord, cut: Cut, own: bool) -> None:
    """The section below the layers. ``own``: the cut is that of the run itself."""
    st.markdown("#### File size", help=TERMS["ONNX"])
    try:
        here, curve = sizes.at(run, result, cut), sizes.curve(run, result)
    except EngineError as error:
        st.caption(plain(str(error)))
        return
    show_file_sizes(
        [(point.sparsity, point.bytes) for point in curve],
        (here.sparsity, here.bytes),
        {name: row.label for name, row in ENCODINGS.items()},
        key="file-sizes",
    )
    st.html(STYLE + _list(result, here, curve, own))


def _list(result: RunRecord, here: sizes.Sizes, curve: tuple[sizes.Sizes, ...], own: bool) -> str:
    rows = []
    for name, row in ENCODINGS.items():
        written = result.exports.get(name) if own else None
        bytes = written.bytes if written else here.bytes[name]
        about = "" if written else "about "
        rows.append(
            f'<tr><th scope="row">{escape(row.label)}</th>'
            f'<td class="number">{about}{size(bytes)}</td>'
            f'<td class="more">{_smaller(name, sizes.break_even(curve, name))}</td>'
            f'<td class="more">{escape(row.opens_in)}</td></tr>'
        )
    at = percent(here.sparsity)
    head = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("File", f"Size at {at}", "Against dense", "Opens in")
    )
    return (
        f'<table class="encodings"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _smaller(name: str, sparsity: float | None) -> str:
    if name == PRIMARY:
        return ""
    if sparsity is None:
        return "never smaller"
    return f"smaller from {percent(sparsity)} removed" if sparsity else "always smaller"
