"""Where a visitor's address is found, and that services pass it on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.services import origin as module
from app.services import runs, studies, uploads
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, ResourceError
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig

INVENTED = "198.51.100.66"
CLIENT = "203.0.113.7"


@pytest.mark.parametrize(
    ("forwarded", "trusted", "found"),
    [
        ([], 0, "10.0.0.1"),
        ([CLIENT], 0, "10.0.0.1"),  # nobody said that there is a proxy
        ([], 1, "10.0.0.1"),
        ([CLIENT], 1, CLIENT),
        ([f"{INVENTED}, {CLIENT}"], 1, CLIENT),
        ([INVENTED, CLIENT], 1, CLIENT),
        ([f"{INVENTED}, {CLIENT}, 10.0.0.2"], 2, CLIENT),
        ([f"{CLIENT}:4711"], 1, CLIENT),
        (["[2001:db8::1]:4711"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
        ([CLIENT], 2, CLIENT),
        ([", ,"], 1, "10.0.0.1"),
    ],
)
def test_the_address_is_what_the_first_trusted_proxy_saw(forwarded, trusted, found):
    assert module.address_of("10.0.0.1", forwarded, trusted) == found


def test_a_number_of_proxies_that_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROSPR_PROXIES", "nginx")
    with pytest.raises(ConfigError, match="PROSPR_PROXIES is 'nginx'"):
        module.proxies()


def come_from(monkeypatch: pytest.MonkeyPatch, address: str | None, *forwarded: str) -> None:
    headers = SimpleNamespace(get_all=lambda name: list(forwarded))
    context = SimpleNamespace(ip_address=address, headers=headers)
    monkeypatch.setattr(module.st, "context", context)


def test_one_address_behind_many_cookies(store: Store, monkeypatch: pytest.MonkeyPatch):
    limits = Limits(most_queued_per_address=2, most_studies_per_address=1, uploads_per_address=1)
    object.__setattr__(store, "limits", limits)
    store.uploads._limits = limits
    monkeypatch.setenv("PROSPR_PROXIES", "1")
    come_from(monkeypatch, "10.0.0.1", f"{INVENTED}, {CLIENT}")

    def ask(visitor: str, seed: int) -> None:
        runs.start(RunConfig(seed=seed), visitor)

    def study(visitor: str, seed: int) -> None:
        studies.start(SweepConfig(RunConfig(), ("prospr",), (0.9,), (seed,)), visitor)

    ask("a", 1)
    ask("b", 2)
    with pytest.raises(ResourceError, match="your network"):
        ask("c", 3)
    study("a", 4)
    with pytest.raises(ResourceError, match="your network"):
        study("b", 5)
    come_from(monkeypatch, "10.0.0.1", f"{CLIENT}, {INVENTED}")
    ask("c", 3)
    study("b", 5)


def test_uploads_name_their_address(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.uploads._limits = Limits(uploads_per_address=0)
    monkeypatch.setitem(uploads.CHECKS, "images", lambda *_: None)
    monkeypatch.setattr(uploads, "_suffix", lambda *_: ".zip")
    come_from(monkeypatch, CLIENT)
    with pytest.raises(ResourceError, match="your network"):
        uploads.add("a", "images", "a.zip", b"zip")
    come_from(monkeypatch, None)
    assert uploads.add("a", "images", "a.zip", b"zip").bytes == 3
