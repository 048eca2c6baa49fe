"""From which network address a run, study or upload came, without the address.

A visitor's id rests on a cookie, which a browser can drop and a program invent, so some limits hold
per address as well. The record names an address by its keyed hash, and the key is in a file beside
it: a copy of the record alone reveals no address, and neither does one without the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
from pathlib import Path

from prospr_engine.errors import StoreError

KEY = "origins.key"
BITS = 64
"""Of an IPv6 address: what a provider gives to one household, or more."""


def origin_of(folder: Path, address: str | None) -> str:
    """The hash that stands for ``address`` (IPv4 or IPv6) in the store in ``folder``; "" for one
    that is none, and for this machine itself, on which limits per address would serve nobody.

    Raises ``StoreError`` if the key cannot be read or made.
    """
    network = _network(address)
    if network is None:
        return ""
    return hmac.new(_key(folder), network.encode(), hashlib.sha256).hexdigest()[:32]


def _network(address: str | None) -> str | None:
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            network = ipaddress.ip_network((found, BITS), strict=False)
            return None if found.is_loopback else str(network)
        found = found.ipv4_mapped
    return None if found.is_loopback else str(found)


def _key(folder: Path) -> bytes:
    path = folder / KEY
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    part = folder / f".{KEY}-{secrets.token_hex(8)}"
    try:
        part.touch(0o600, exist_ok=False)  # before there is anything to read
        part.write_bytes(secrets.token_bytes(32))
        # Of two processes that make one, the first wins.
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    except OSError as error:
        raise StoreError(
            f"The key for visitors' addresses cannot be made ({error.strerror}). Give the server "
            "a folder that it may write to (PROSPR_RUNS)."
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise StoreError(
            f"The key for visitors' addresses ({path.name} in the folder of runs) cannot be read "
            f"({error.strerror}). Let the server read it, or remove it."
        ) from None
