"""Visitors without a browser: they speak the dashboard's websocket as its own page does."""

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
PATIENCE = 60.0  # seconds without a word from the server


@dataclass
class Visit:
    """What one visitor saw: seconds until the page stood, then seconds of every look after."""

    first: float = 0.0
    looks: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def watch(port: int, page: str, query: str, seconds: float) -> Visit:
    """Open ``page`` ("" is the first) and, where it follows something, look again as often as it
    asks for, for so many seconds."""
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
    """So many visitors at once, who come in the course of a second."""

    async def one(number: int) -> Visit:
        await asyncio.sleep(number / count)
        return await watch(port, page, query, seconds)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


class _Tab:
    """What the page in a browser remembers of its conversation with the server."""

    def __init__(self, socket: ClientConnection, visit: Visit, page: str, query: str):
        self._socket, self._visit = socket, visit
        self._page, self._query, self._hash = page, query, ""
        self.fragment, self.every = "", 0.0

    async def look(self, fragment: str = "") -> None:
        """One run of the page, or of its fragment. It may find that the page as a whole has to
        be drawn anew; the look is over when that is done."""
        message = BackMsg()
        message.rerun_script.query_string = self._query
        if fragment:
            message.rerun_script.page_script_hash = self._hash
            message.rerun_script.fragment_id = fragment
            message.rerun_script.is_auto_rerun = True
        else:
            message.rerun_script.page_name = self._page
        await self._socket.send(message.SerializeToString())
        while True:
            told = ForwardMsg()
            told.ParseFromString(await asyncio.wait_for(self._socket.recv(decode=False), PATIENCE))
            kind = told.WhichOneof("type")
            if kind == "navigation":  # the page as a whole, which may follow nothing any more
                self._hash, self.fragment = told.navigation.page_script_hash, ""
            elif kind == "auto_rerun":
                self.fragment = told.auto_rerun.fragment_id
                self.every = told.auto_rerun.interval
            elif kind == "delta" and told.delta.new_element.WhichOneof("type") == "exception":
                self._visit.errors.append(told.delta.new_element.exception.message)
            elif kind == "script_finished" and told.script_finished != AGAIN:
                return
