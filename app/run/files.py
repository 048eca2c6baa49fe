"""The names and addresses of a run's files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from app.services import Run, display_name, is_control
from app.services.uploads import without_suffix
from app.ui.format import percent_number

BUNDLE = "bundle.zip"
ENCODINGS = "encodings"
"""Query parameter of the bundle: the encodings of its ONNX files."""


def address(run: Run, name: str, encodings: Sequence[str] | None = None) -> str:
    """Where ``serving`` offers the file, relative to the page of the run, so that it holds behind
    a proxy, too, that puts the dashboard into a folder."""
    query = "" if encodings is None else f"?{ENCODINGS}={quote(','.join(encodings), safe=',')}"
    return f"files/{quote(run.id)}/{quote(name)}{query}"


def file_name(run: Run, name: str) -> str:
    """``small_cnn-digits-90-3f0a2c-model.onnx`` for ``model.onnx``: the main settings (with the
    control, if it is one), and the start of the run's id, so that downloads do not collide."""
    settings = run.settings
    data = without_suffix(display_name(str(settings.get("data", ""))))
    percent = percent_number(float(settings.get("sparsity", 0)))
    control = settings.get("control")
    changed = (control,) if is_control(control) else ()
    parts = (settings.get("model", ""), data, percent, *changed, run.id[:6], name)
    return "-".join(_safe(str(part)) for part in parts)


def _safe(part: str) -> str:
    """``part`` with only characters that every file system allows."""
    return re.sub(r"[^\w.+]+", "_", part).strip("_.") or "file"
