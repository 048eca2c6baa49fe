"""The files of a run to download: what each is, how large, fast and accurate, and whether it passed
its checks. The links lead to ``app.serving``, so a page holds no file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from app.run.files import BUNDLE, address, file_name
from app.services import ENCODINGS, Artifact, ExportRecord, Run, RunRecord, bundles, runs
from app.ui.format import accuracy, milliseconds, size
from app.ui.glossary import TERMS
from app.ui.labels import NO_ZEROS
from app.ui.titles import encoding_label

CHOSEN = "bundle-encodings"
TENSORS = {
    "pruned.safetensors": "The pruned network for PyTorch",
    "dense.safetensors": "The dense network for PyTorch",
    "masks.safetensors": "Which weights of the dense network were kept",
}
OTHERS = {
    "config.json": "settings",
    "result.json": "all results",
    "figures.csv": "figures",
    "layers.csv": "weights kept in each layer",
    "training.csv": "loss and accuracy by epoch",
    "classes.csv": "accuracy by class",
}
STYLE = """
<style>
.files { width: 100%; border-collapse: collapse; font-size: 0.9375rem; margin: 0; }
.files th { font-weight: 400; font-size: 0.8125rem; opacity: 0.8; }
.files th, .files td { text-align: left; padding: 0.5rem 0.75rem 0.5rem 0; border: none;
  border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent);
  vertical-align: top; }
.files tbody tr:last-child td { border-bottom: none; }
.files a, .files-more a { color: light-dark(#0B5A8A, #7CC0EC); }
.files td.number, .files th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.files td.checks, .files td.get { white-space: nowrap; }
.files td.get { text-align: right; padding-right: 0; }
.files .checks { padding-left: 0.5rem; }
.files small { display: block; font-size: 0.8125rem; opacity: 0.8; max-width: 34rem; }
.files .failed { font-weight: 600; }
.files-more { margin: 0; font-size: 0.875rem; }
.files-card { container-type: inline-size; }
@container (max-width: 640px) {
  .files thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .files, .files tbody { display: block; }
  .files tr { display: flex; flex-wrap: wrap; gap: 0.125rem 1rem; padding: 0.625rem 0;
    border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
  .files tr:last-child { border-bottom: none; }
  .files td, .files td.checks { border: none; padding: 0; }
  .files td.name { flex-basis: 100%; }
  .files td:empty { display: none; }
  .files td[data-label]::before { content: attr(data-label) " "; opacity: 0.8;
    font-size: 0.8125rem; }
}
</style>
"""


def show_downloads(run: Run, result: RunRecord) -> None:
    """The card with all files, and the bundle of them."""
    files = bundles.files(run, result)
    exports = {Path(export.path).name: (row, export) for row, export in result.exports.items()}
    with st.container(border=True, key="downloads"):
        st.markdown("### Files", help=TERMS["ONNX"])
        if not exports.keys() <= files.keys():
            st.warning(runs.GONE, icon=":material/folder_off:")
        st.html(f'{STYLE}<div class="files-card">{_table(run, result, files)}</div>')
        if result.pruning.structure:
            st.caption(NO_ZEROS)
        st.html(f'<p class="files-more">Also: {_others(run, files)}</p>')
        _show_bundle(run, result, files)


def _show_bundle(run: Run, result: RunRecord, files: dict[str, Artifact]) -> None:
    """The button of the bundle, and which ONNX files are in it."""
    there = [name for name, each in result.exports.items() if Path(each.path).name in files]
    chosen: Sequence[str] = there
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(there) > 1:
            chosen = st.pills(
                "ONNX files in the bundle",
                there,
                selection_mode="multi",
                default=there,
                format_func=encoding_label,
                key=CHOSEN,
            )
        st.link_button(
            "Download everything (zip)",
            address(run, BUNDLE, None if list(chosen) == there else chosen),
            icon=":material/folder_zip:",
            type="primary",
            key="primary-bundle",
            disabled=not chosen or not {*TENSORS, *bundles.JSON} <= files.keys(),
            help="The ONNX files, both networks, masks, settings, results as JSON and CSV, charts, "
            "a model card, and five lines of Python that run the network.",
        )


def _table(run: Run, result: RunRecord, files: dict[str, Artifact]) -> str:
    exports = result.exports.values()
    figures = {
        # a column, whether it has any figure
        "Zipped": any(export.zipped for export in exports),
        "Accuracy": any(export.accuracy is not None for export in exports),
        "Time per image": any(export.latency_ms is not None for export in exports),
    }
    columns = [name for name, known in figures.items() if known]
    head = "".join(
        f'<th scope="col"{css}>{name}</th>'
        for name, css in (
            ("File", ""),
            *((name, ' class="number"') for name in ("Size", *columns)),
            ("Checks", ' class="checks"'),
            ("", ""),
        )
    ).replace('<th scope="col"></th>', "<td></td>")
    rows = [
        _row(run, Path(export.path).name, _about(name), files, _figures(export, columns), export)
        for name, export in result.exports.items()
    ]
    rows += [
        _row(run, name, about, files, dict.fromkeys(columns, ""), None)
        for name, about in TENSORS.items()
    ]
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<table class="files">{body}</table>'


def _row(
    run: Run,
    name: str,
    about: str,
    files: dict[str, Artifact],
    figures: dict[str, str],
    export: ExportRecord | None,
) -> str:
    there = files.get(name)
    bytes = export.bytes if export else there.bytes if there else None
    cells = {"Size": size(bytes) if bytes else "", **figures}
    numbers = "".join(
        f'<td class="number" data-label="{label}">{text}</td>' for label, text in cells.items()
    )
    link = _link(run, name, "Download", label=f"Download {name}") if there else "gone"
    return (
        f'<tr><td class="name"><strong>{escape(name)}</strong><small>{escape(about)}</small></td>'
        f'{numbers}<td class="checks">{_verdict(export)}</td><td class="get">{link}</td></tr>'
    )


def _figures(export: ExportRecord, columns: Sequence[str]) -> dict[str, str]:
    known = {
        "Zipped": size(export.zipped) if export.zipped else "",
        "Accuracy": "" if export.accuracy is None else accuracy(export.accuracy),
        "Time per image": "" if export.latency_ms is None else milliseconds(export.latency_ms),
    }
    return {name: known[name] for name in columns}


def _verdict(export: ExportRecord | None) -> str:
    if export is None:
        return ""
    if export.ok:
        return "✓ all passed"
    failed = sum(not check.ok for check in export.checks)
    return f'<span class="failed">✗ {failed} failed</span>'


def _about(encoding: str) -> str:
    row = ENCODINGS.get(encoding)
    return f"{row.label}. {row.description}" if row else encoding


def _others(run: Run, files: dict[str, Artifact]) -> str:
    made = [name for name in OTHERS if name in files or name in bundles.TABLES]
    return " · ".join(
        _link(run, name, name, label=f"Download {name}: {OTHERS[name]}") for name in made
    )


def _link(run: Run, name: str, text: str, label: str) -> str:
    return (
        f'<a href="{escape(address(run, name))}" download="{escape(file_name(run, name))}" '
        f'aria-label="{escape(label)}" title="{escape(label)}">{escape(text)}</a>'
    )
