"""From which network address the visitor of this page comes, as the store knows it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import streamlit as st

from app.services import store
from prospr_engine.errors import ConfigError
from prospr_engine.store.origins import origin_of

PROXIES = "PROSPR_PROXIES"


def origin() -> str:
    """The hash that stands for the visitor's address (``store.origins``); "" if it is unknown or
    this machine. Raises ``ConfigError`` if the number of proxies is none, ``StoreError`` as there.
    """
    forwarded = st.context.headers.get_all("X-Forwarded-For")
    address = address_of(st.context.ip_address, forwarded, proxies())
    return origin_of(store.current().folder, address)


def proxies() -> int:
    """How many proxies the operator says are before this server."""
    text = os.environ.get(PROXIES, "").strip() or "0"
    if not text.isdecimal():
        raise ConfigError(f"{PROXIES} is {text!r}; give the number of reverse proxies.")
    return int(text)


def address_of(peer: str | None, forwarded: Sequence[str], trusted: int) -> str | None:
    """The address of a visitor whose connection comes from ``peer``, with these headers, behind so
    many ``trusted`` proxies. Each adds the address that it saw at the right of the list; whatever
    is further left may be invented."""
    if not trusted:
        return peer
    listed = [part.strip() for line in forwarded for part in line.split(",") if part.strip()]
    return _without_port(listed[-trusted:][0]) if listed else peer


def _without_port(text: str) -> str:
    """ "[::1]:80" and "1.2.3.4:80", as some proxies write them."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
