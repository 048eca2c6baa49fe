"""A run that is done: the answer first, then what it rests on, then what to take home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from app.components.about import show_about
from app.components.findings import show_checks, show_findings
from app.components.plots import show_accuracy, show_layers
from app.services import Job, RunConfig
from app.text import answer as words
from app.text import code

GONE = (
    "The files of this run are not on the server any more. The same settings give the same files: "
    "start the run again."
)
FILES = {
    # file: (label, type, what it is)
    "masks.safetensors": ("masks", "application/octet-stream", "Which weights were kept"),
    "result.json": ("result", "application/json", "All numbers of this page, and more"),
    "config.json": ("settings", "application/json", "The settings, for the command line"),
}


def show_result(job: Job, form: RunConfig | None) -> None:
    """The whole result of ``job``, beside a form that shows ``form``."""
    result = job.events()[-1]["result"]
    st.header(words.answer(result))
    show_about(job, form)
    st.caption(words.chance(result))
    _metrics(result)
    _downloads(job, result)
    st.markdown("### What was kept of every layer")
    show_findings(result)
    show_layers(result["layers"], key="layers")
    if result["history"]:
        st.markdown("### Accuracy while training")
        show_accuracy(result["history"], job.config.epochs, key="accuracy")
    _proof(result["onnx"])
    _same_again(job)


def _metrics(result: dict[str, Any]) -> None:
    accuracy, layers = result["accuracy"], result["layers"]
    kept, total = (sum(layer[name] for layer in layers) for name in ("kept", "total"))
    change = words.points(result)
    grid = st.grid(min_column_width=150)
    with grid.cell():
        st.metric(
            "Weights kept",
            f"{kept:,}",
            f"of {total:,}",
            delta_color="off",
            delta_arrow="off",
            help="Weights of convolutions and linear layers. Biases and normalisation are not "
            "pruned and not counted.",
        )
    with grid.cell():
        st.metric(
            "Accuracy, pruned",
            words.accuracy(accuracy["pruned"]),
            f"{words.signed(change)} points" if change else "no change",
            delta_color="off",
            # By hand: Streamlit takes only a hyphen for a minus.
            delta_arrow="off" if not change else "up" if change > 0 else "down",
            help="Test accuracy: the share of test images that it names rightly.",
        )
    with grid.cell():
        st.metric(
            "Accuracy, dense",
            words.accuracy(accuracy["dense"]),
            f"{result['data']['split']['test']:,} test images",
            delta_color="off",
            delta_arrow="off",
            help="Test accuracy of the same network with all its weights, trained the same way.",
        )
    with grid.cell():
        st.metric(
            "Time",
            words.duration(result["seconds"]),
            "both networks",
            delta_color="off",
            delta_arrow="off",
            help="From reading the images to the proven file, both networks together.",
        )


def _downloads(job: Job, result: dict[str, Any]) -> None:
    gone = not (job.out / "model.onnx").is_file()
    if gone:
        st.warning(GONE, icon=":material/folder_off:")
    with st.container(horizontal=True):
        st.download_button(
            f"Download model.onnx ({words.size(result['onnx']['bytes'])})",
            reader(job.out / "model.onnx"),
            file_name="model.onnx",
            mime="application/octet-stream",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key="primary-onnx",
            disabled=gone,
            help="The trained, pruned network. Removed weights are stored as zeros, so the file "
            "is as large as the dense network's; compressed it shrinks.",
        )
        for name, (label, mime, about) in FILES.items():
            st.download_button(
                f"Download {label}",
                reader(job.out / name),
                file_name=name,
                mime=mime,
                on_click="ignore",
                key=f"download-{name}",
                disabled=not (job.out / name).is_file(),
                help=f"{about} ({name}).",
            )


def reader(path: Path) -> Callable[[], bytes]:
    """Reads the file only when somebody asks for it."""

    def read() -> bytes:
        try:
            return path.read_bytes()
        except OSError:
            # It went since the page was drawn, and the button can no longer say so.
            return GONE.encode()

    return read


def _proof(onnx: dict[str, Any]) -> None:
    verdict = "The file is what its label says" if onnx["ok"] else "The file failed its proof"
    st.markdown(f"### {verdict}")
    show_checks(onnx["checks"])


def _same_again(job: Job) -> None:
    with st.expander("The same from Python or the command line", icon=":material/terminal:"):
        threads = job.events()[-1]["result"]["environment"]["threads"]
        st.caption(
            "Run them in the project's folder, with the Python of its .venv. The same settings, "
            f"with {threads} {'thread' if threads == 1 else 'threads'} as here, give the same "
            "numbers on the same kind of machine."
        )
        st.code(code.command(job.config, threads), language="bash", wrap_lines=True)
        st.code(code.program(job.config, threads), language="python", wrap_lines=True)
