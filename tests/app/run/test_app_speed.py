"""Will it be faster? The section of a finished run's page."""

from __future__ import annotations

import pytest
from app_fakes import finished, found, words
from app_run import opened

from app.run import speed
from app.services import METHODS, REFERENCE, Latency
from prospr_engine.config import RunConfig
from prospr_engine.export.latency import of_seconds
from prospr_engine.store.store import Store

TURNS = 8


def latency(ratio: float) -> Latency:
    """A file that is so many times faster than the dense one, in turns that are slower and
    slower."""
    slower = [1 + turn / 10 for turn in range(TURNS)]
    return of_seconds(
        {
            batch: {
                REFERENCE: [0.002 * batch * s for s in slower],
                "dense": [0.002 * batch * s / ratio for s in slower],
            }
            for batch in (1, 32)
        }
    )


def test_weights_alone_make_nothing_faster_and_channels_are_offered(store: Store):
    run = finished(store, latency=latency(1.0).to_dict())
    at = opened(run)
    assert not at.exception
    assert "No faster" in words(at)
    assert "Zeros are multiplied like any other number" in words(at)
    button = at.button(key="twin")
    assert "about 2 times as fast" in button.label
    button.click().run()
    started = next(other for other in store.runs() if other.id != run.id)
    assert started.config == RunConfig(kind="channels", channel_budget="operations", sparsity=0.5)


def test_the_offer_drops_what_only_concerns_weights(store: Store):
    layers = {"0.0": "dense", "1.0": 0.5}
    config = RunConfig(layer_floor=3, layers=layers, control="shuffle", seed=4)
    assert speed.twin(config) == RunConfig(
        kind="channels",
        channel_budget="operations",
        sparsity=0.5,
        layers={"0.0": "dense"},
        seed=4,
    )


def test_there_is_no_offer_for_a_criterion_that_ranks_no_channels(store: Store):
    run = finished(store, config=RunConfig(method="grasp"), latency=latency(1.0).to_dict())
    assert opened(run).button(key="twin").disabled
    assert "ranks single weights only" in speed.no_twin(found(store, run.id))


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.channels])
def test_every_other_criterion_has_one(store: Store, method: str):
    assert not speed.no_twin(finished(store, config=RunConfig(method=method)))


def test_a_network_without_channels_says_how_much_faster_it_is(store: Store):
    config = RunConfig(kind="channels", sparsity=0.5)
    at = opened(finished(store, config=config, latency=latency(1.9).to_dict()))
    assert "1.9 times faster at batch 1" in words(at)
    assert "twin" not in {button.key for button in at.button}


def test_the_table_gives_times_and_ratios():
    rows = speed.table(latency(2.0)).to_dict("list")
    assert rows["File"] == ["Before pruning", "Pruned (dense, 32 bit)"]
    first, second = (text.replace("\N{NO-BREAK SPACE}", " ") for text in rows["1 image"])
    # Of 2 ms times 1.0, 1.1 … 1.7: median 1.35, quartiles 1.175 and 1.525.
    assert first == "2.70 ms (2.35 to 3.05)"
    assert second == "1.35 ms (1.17 to 1.52), 2.0 ×"
    assert rows["32 images"][0].startswith("86.4")


def test_what_could_not_be_timed_says_why(store: Store):
    missing = Latency(reason="Timing the files took too long.").to_dict()
    assert "Timing the files took too long." in words(opened(finished(store, latency=missing)))


def test_a_run_of_an_earlier_version_has_no_such_section(store: Store):
    assert "Will it be faster?" not in words(opened(finished(store)))
