"""The files of runs over plain HTTP: ``/files/<run>/<name>``, to link to.

A download button of Streamlit holds all bytes of its file in the web process: from when the page is
drawn, or, if they come from a function, from the click until the session ends (streamlit/runtime/
memory_media_file_storage.py). A route of the server sends a file from the disk in pieces of 64 kB,
and a bundle from a temporary file, however many visitors take how large a network.

Whoever has the address of a run may take its files, as ``access`` says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from app import access, session
from app.run.files import BUNDLE, ENCODINGS, file_name
from app.services import DataError, EngineError, Run, RunRecord, StoreError, bundles, runs

BINARY = "application/octet-stream"
TYPES = {".json": "application/json", ".csv": "text/csv", ".zip": "application/zip"}
NO_RUN = "There is no such run; it was deleted or has expired."
ONE = CapacityLimiter(1)
"""Bundles take turns: to compress one keeps a core busy."""


async def serve(request: Request) -> Response:
    """One file of a run, or its bundle; an error is a sentence in plain text."""
    try:
        if request.path_params["name"] == BUNDLE:
            return await run_sync(_bundle, request, limiter=ONE)
        return await run_in_threadpool(_file, request)
    except EngineError as error:
        missing = isinstance(error, DataError | StoreError)
        return PlainTextResponse(f"{error}\n", 404 if missing else 400)


def _file(request: Request) -> Response:
    run, result, shown = _opened(request)
    name = request.path_params["name"]
    headers = _headers(run, name)
    if name in bundles.TABLES:
        return Response(bundles.TABLES[name](result), headers=headers)
    file = bundles.files(run, result).get(name)
    if file is None:
        raise DataError(runs.GONE)
    runs.check(file)
    if name in bundles.JSON:
        return Response(shown(file.path.read_bytes()), headers=headers)
    return FileResponse(file.path, headers=headers)


def _bundle(request: Request) -> Response:
    run, _, shown = _opened(request)
    wanted = request.query_params.get(ENCODINGS)
    encodings = None if wanted is None else wanted.split(",")
    folder = Path(tempfile.mkdtemp(prefix="prospr-bundle-"))
    try:
        bundles.write(folder / BUNDLE, run, encodings, shown)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    remove = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(folder / BUNDLE, headers=_headers(run, BUNDLE), background=remove)


def _opened(request: Request) -> tuple[Run, RunRecord, Callable[[bytes], bytes]]:
    """The run in the address as its visitor may see it, its result, and what to do to its JSON
    files."""
    visitor = access.visitor_of(request.cookies.get(session.COOKIE, ""))
    run = runs.find(request.path_params["run"])
    if run is None or run.state != "done":
        raise DataError(NO_RUN)
    seen = access.as_seen(run, visitor)
    return seen, runs.result(run), partial(access.visible_json, run=run, visitor=visitor)


def _headers(run: Run, name: str) -> dict[str, str]:
    return {
        "Content-Type": TYPES.get(Path(name).suffix, BINARY),
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(file_name(run, name))}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
