"""Visitors without a browser: they use the dashboard's websocket as its page does."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection
from websockets.typing import Origin, Subprotocol

AGAIN = ForwardMsg.FINISHED_EARLY_FOR_RERUN
PATIENCE = 60.0  # seconds without a message from the server


@dataclass
class Visit:
    """What one visitor saw: seconds until the page was complete, then seconds of every update."""

    first: float = 0.0
    looks: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def watch(port: int, page: str, query: str, seconds: float) -> Visit:
    """Open ``page`` ("" is the first) and, if it updates itself, keep requesting its updates at
    that interval for ``seconds``."""
    visit = Visit()
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/_stcore/stream",
        subprotocols=[Subprotocol("streamlit"), Subprotocol("none"), Subprotocol("none")],
        origin=Origin(f"http://127.0.0.1:{port}"),
        max_size=None,
    ) as socket:
        tab = _Tab(socket, visit, page, query)
        started = time.perf_counter()
        await tab.look()
        visit.first = time.perf_counter() - started
        end = time.perf_counter() + seconds
        while tab.fragment and time.perf_counter() < end:
            await asyncio.sleep(tab.every)
            started = time.perf_counter()
            await tab.look(tab.fragment)
            visit.looks.append(time.perf_counter() - started)
    return visit


async def crowd(count: int, port: int, page: str, query: str, seconds: float) -> list[Visit]:
    """``count`` visitors at once, arriving within a second."""

    async def one(number: int) -> Visit:
        await asyncio.sleep(number / count)
        return await watch(port, page, query, seconds)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


class _Tab:
    """The state that the page in a browser keeps of its session with the server."""

    def __init__(self, socket: ClientConnection, visit: Visit, page: str, query: str):
        self._socket, self._visit = socket, visit
        self._page, self._query, self._hash = page, query, ""
        self.fragment, self.every = "", 0.0

    async def look(self, fragment: str = "") -> None:
        """One run of the page, or of its fragment; a fragment may cause a run of the whole page,
        which is included."""
        request = BackMsg()
        request.rerun_script.query_string = self._query
        if fragment:
            request.rerun_script.page_script_hash = self._hash
            request.rerun_script.fragment_id = fragment
            request.rerun_script.is_auto_rerun = True
        else:
            request.rerun_script.page_name = self._page
        await self._socket.send(request.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(
                await asyncio.wait_for(self._socket.recv(decode=False), PATIENCE)
            )
            kind = message.WhichOneof("type")
            if kind == "navigation":  # the whole page, which may no longer update itself
                self._hash, self.fragment = message.navigation.page_script_hash, ""
            elif kind == "auto_rerun":
                self.fragment = message.auto_rerun.fragment_id
                self.every = message.auto_rerun.interval
            elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                self._visit.errors.append(message.delta.new_element.exception.message)
            elif kind == "script_finished" and message.script_finished != AGAIN:
                return
