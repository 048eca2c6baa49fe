"""The page of a run, opened by its address."""

from __future__ import annotations

import json
import re
from html import unescape

from app_fakes import LAYERS, RESULT, new
from streamlit.testing.v1 import AppTest

from app import pages
from app.run.explore import PART
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"
PRUNED = {"event": "Pruned", "sparsity": RESULT["sparsity"], "layers": LAYERS,
          "findings": RESULT["findings"], "trust": RESULT["trust"]}  # fmt: skip


def opened(run: Run | str | None, visitor: str = "alice") -> AppTest:
    """The page of a run, as its address opens it."""
    at = new(visitor, pages.RUN)
    if run is not None:
        at.query_params[pages.ID] = run if isinstance(run, str) else run.id
    at.run()
    assert not at.exception
    return at


def part(at: AppTest, name: str) -> AppTest:
    """The page with that tab open."""
    at.session_state[PART] = name
    at.run()
    assert not at.exception
    return at


def progress(at: AppTest) -> str:
    return "\n".join(bar.proto.text for bar in at.get("progress")).replace("\\", "")


def offered(at: AppTest) -> dict[str, str]:
    """The addresses of the files to download, by their names."""
    html = "".join(element.proto.body for element in at.get("html"))
    links = re.findall(r'<a href="([^"]+)"[^>]*aria-label="Download ([^":]+)', html)
    return {name: unescape(address) for address, name in links}


def finished_folder(store: Store, run: Run) -> None:
    """The run is done, in the way of ``finished``."""
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "result.json").write_text(json.dumps(RESULT))
    store.finish(run.id, "done", folder=folder)
