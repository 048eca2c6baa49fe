"""The server: ``python -m streamlit run app/streamlit_app.py``.

It runs ``dashboard.py`` for every visitor, and serves the files of runs beside it.
"""

import importlib
import sys
from pathlib import Path

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

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


HEADERS = {
    # Nobody else's page may show ours in a frame, where a click could be meant for something else.
    "Content-Security-Policy": "frame-ancestors 'self'; object-src 'none'; base-uri 'self'",
    "X-Content-Type-Options": "nosniff",
    # The address of a run is all that is needed to see it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with everything. Scripts cannot be restricted further: Streamlit and Vega make some anew."""
REFUSED = (
    "This server does not answer to the name in the address. Its operator can allow it: "
    "server.allowedHosts in .streamlit/config.toml, or STREAMLIT_SERVER_ALLOWED_HOSTS.\n"
)

HEALTH = "/_stcore/health"


class Guarded:
    """Adds the headers above, and refuses names of this server that are not allowed, as Streamlit
    does for its WebSocket: a page of somebody else could make its own name lead here."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._app
        # Whoever watches over the server, as Docker does, calls it by any name.
        checked = scope["type"] == "http" and not scope["path"].endswith(HEALTH)
        if checked and not is_host_allowed(Headers(scope=scope).get("host")):
            answer = PlainTextResponse(REFUSED, 400)
        await answer(scope, receive, send_guarded)


server = st.App(
    Path(__file__).with_name("dashboard.py"),
    routes=[Route("/files/{run}/{name}", files, methods=["GET"])],
    middleware=[Middleware(Guarded)],
)
