"""The files of a run to download. A file is only read when somebody downloads it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app import access, session
from app.run.files import file_name
from app.services import ENCODINGS, PRIMARY, Artifact, Run, RunRecord, StoreError, runs
from app.services.bundles import layers_csv, training_csv
from app.ui.format import size
from app.ui.glossary import TERMS

JSON = "application/json"
FILES = {
    # file: (label, type, what it is)
    "masks.safetensors": (
        "Masks",
        "application/octet-stream",
        "Which weights were kept, layer by layer.",
    ),
    "config.json": ("Settings", JSON, "For the command line and for Python."),
    "result.json": ("Result", JSON, "All numbers on this page, and more."),
}
TABLES: dict[str, tuple[str, Callable[[RunRecord], bytes], str]] = {
    "layers.csv": ("Layers", layers_csv, "Weights kept in each layer."),
    "training.csv": ("Training", training_csv, "Loss and accuracy of both networks by epoch."),
}


def show_downloads(run: Run, result: RunRecord) -> None:
    """A button per ONNX file, and one for all other files."""
    files, visitor = runs.files(run), session.visitor()
    exports = {Path(export.path).name: (row, export) for row, export in result.exports.items()}
    if not exports.keys() <= files.keys():
        st.warning(runs.GONE, icon=":material/folder_off:")
    for name, (encoding, export) in exports.items():
        first = encoding == PRIMARY
        _button(
            run,
            name,
            f"Download {name} ({size(export.bytes)})",
            files.get(name),
            type="primary" if first else "secondary",
            icon=":material/download:",
            key="primary-onnx" if first else f"download-onnx-{encoding}",
            help=f"{TERMS['ONNX']} {_about(encoding)}",
        )
    with st.popover("More files", icon=":material/folder_zip:"):
        for name, (label, mime, about) in FILES.items():
            words = f"{label} ({Path(name).suffix[1:]})"
            more = {"help": about, "key": f"download-{name}", "width": "stretch"}
            # Settings and result contain paths, which other visitors must not see.
            seen = partial(access.visible_json, run=run, visitor=visitor) if mime == JSON else None
            _button(run, name, words, files.get(name), mime, seen, **more)
        for name, (label, make, about) in TABLES.items():
            st.download_button(
                f"{label} (csv)",
                partial(make, result),
                file_name=file_name(run, name),
                mime="text/csv",
                on_click="ignore",
                key=f"download-{name}",
                help=about,
                width="stretch",
            )


def _about(encoding: str) -> str:
    if encoding == PRIMARY:
        return (
            "Removed weights are stored as zeros, so the file is as large as the dense network's "
            "until it is zipped."
        )
    row = ENCODINGS.get(encoding)
    return row.description if row else ""


def _button(
    run: Run,
    name: str,
    label: str,
    artifact: Artifact | None,
    mime: str = "application/octet-stream",
    seen: Callable[[bytes], bytes] | None = None,
    **more: Any,
) -> None:
    st.download_button(
        label,
        reader(artifact.path, seen) if artifact else b"",
        file_name=file_name(run, name),
        mime=mime,
        on_click="ignore",
        disabled=artifact is None,
        **more,
    )


def reader(path: Path, seen: Callable[[bytes], bytes] | None = None) -> Callable[[], bytes]:
    """A function that reads the file and applies ``seen`` to its content. It raises ``StoreError``
    if the file was deleted since the page was drawn; the browser then reports a missing file."""

    def read() -> bytes:
        try:
            content = path.read_bytes()
        except OSError:
            raise StoreError(runs.GONE) from None
        return seen(content) if seen else content

    return read
