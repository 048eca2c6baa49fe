"""The server: ``python -m streamlit run app/streamlit_app.py``.

It runs ``dashboard.py`` for every visitor, and serves the files of runs beside it.
"""

import importlib
import sys
from pathlib import Path

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# `streamlit run` puts this folder on the path, but modules import from the one above.
ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


async def files(request: Request) -> Response:
    """See ``app.serving``."""
    # Not above: its caches need the runtime, which starts with the server. In a thread, because the
    # first time takes seconds, for which nobody else should wait.
    serving = await run_in_threadpool(importlib.import_module, "app.serving")
    response: Response = await serving.serve(request)
    return response


server = st.App(
    Path(__file__).with_name("dashboard.py"),
    routes=[Route("/files/{run}/{name}", files, methods=["GET"])],
)
