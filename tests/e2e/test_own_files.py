"""Images, weights and networks that visitors bring."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from conftest import Come
from e2e_browser import download, expect, press, settled
from e2e_dashboard import visitors
from e2e_data import class_folders, pickled
from own_network import network
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
ALICE, BOB = visitors("own files")


def choose(page: Page, box: str, option: str) -> None:
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option).click()
    settled(page)


def drop(page: Page, name: str, content: bytes) -> None:
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def test_a_zip_of_class_folders_is_shown_and_learned_from(come: Come):
    page = come(ALICE).open("?epochs=1")
    choose(page, "Data", "Your own images")
    drop(page, "shapes.zip", class_folders())
    expect(page.get_by_text("80 grey images of 16 × 16 pixels in 2 classes.")).to_be_visible()
    expect(page.get_by_text("Skipped: 1 file of other types (.txt).")).to_be_visible()
    expect(page.locator(".samples img")).to_have_count(6)
    address = page.url
    page.reload()
    expect(page.locator(".samples img")).to_have_count(6)
    settled(page)

    press(page, "Prune and train")
    answer = page.get_by_role("heading", name=re.compile("^90.% of the weights removed"))
    expect(answer).to_be_visible()
    expect(page.get_by_text("shapes.zip").first).to_be_visible()
    settled(page)

    # The address is of no use to anybody else: the images are Alice's.
    stranger = come(BOB).open(address.removeprefix(come(BOB).url))
    expect(stranger.get_by_text("shapes.zip cannot be used here")).to_be_visible()
    expect(stranger.get_by_role("button", name="Prune and train", exact=True)).to_be_disabled()


def test_a_network_comes_back_pruned_under_its_own_names(come: Come, tmp_path: Path):
    page = come(ALICE).open("?epochs=1")
    choose(page, "Model", "Your own network")
    drop(page, "mine.onnx", network())
    expect(
        page.get_by_text("takes grey images of 8 × 8 pixels and tells 10 classes")
    ).to_be_visible()
    expect(page.get_by_text("What the network has learned is kept")).to_be_visible()
    settled(page)
    page.reload()
    expect(
        page.get_by_text("takes grey images of 8 × 8 pixels and tells 10 classes")
    ).to_be_visible()
    settled(page)

    press(page, "Prune and train")
    answer = page.get_by_role("heading", name=re.compile("^90.% of the weights removed"))
    expect(answer).to_be_visible()
    expect(page.get_by_text("mine.onnx").first).to_be_visible()
    settled(page)
    file = download(page, tmp_path, "Download model.onnx", "link")
    graph = onnx.load(file).graph
    assert [node.name for node in graph.input] == ["photo"]
    assert [node.name for node in graph.output] == ["verdict"]
    given = {tensor.name: tensor for tensor in onnx.load_from_string(network()).graph.initializer}
    assert {tensor.name for tensor in graph.initializer} == set(given)


def test_pickles_and_other_things_are_refused_with_a_reason(come: Come):
    page = come(ALICE).open()
    choose(page, "Initial weights", "Your own weights")
    drop(page, "weights.pt", pickled())
    expect(page.get_by_role("alert").filter(has_text=re.compile("pickle", re.I))).to_be_visible()
    expect(page.get_by_role("button", name="Prune and train", exact=True)).to_be_disabled()
    choose(page, "Initial weights", "New weights")
    choose(page, "Data", "Your own images")
    drop(page, "images.zip", b"PK\x03\x04 but no archive")
    expect(page.get_by_role("alert").filter(has_text="images.zip")).to_be_visible()
    settled(page)
