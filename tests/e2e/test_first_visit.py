"""A first visit: from the button to the file at home, with a refresh in mid-run."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path

import pytest
from conftest import Come
from e2e_browser import download, expect, press, settled
from e2e_dashboard import visitors

from prospr_engine.config import RunConfig
from prospr_engine.export.verify import verify

pytestmark = pytest.mark.browser
ALICE, _ = visitors("first visit")
ADDRESS = re.compile(r"/run\?id=[0-9a-f]{32}$")


def test_first_visit_to_download(come: Come, tmp_path: Path):
    page = come().open()
    press(page, "Prune and train")
    expect(page).to_have_url(ADDRESS)
    expect(page.get_by_role("heading", name="Weights kept")).to_be_visible()
    address = page.url
    page.reload()  # in mid-run
    expect(
        page.get_by_role("heading", name=re.compile("^Running$|weights removed"))
    ).to_be_visible()
    assert page.url == address

    answer = page.get_by_role("heading", name=re.compile("^90.% of the weights removed"))
    expect(answer).to_be_visible()
    settled(page)
    expect(page.get_by_text("Your run")).to_be_visible()
    assert page.get_by_test_id("stVegaLiteChart").count() >= 3
    for name in ("File size", "Speed", "Training", "Settings", "Checks"):
        page.get_by_role("tab", name=name).click()
        settled(page)
    proofs = page.get_by_role("heading", name="The file passed all checks")
    expect(proofs).to_have_count(len(RunConfig().encodings))

    onnx = download(page, tmp_path, "Download model.onnx", "link")
    compact = download(page, tmp_path, "Download model-compact.onnx", "link")
    assert compact.stat().st_size < onnx.stat().st_size / 4
    # Beside it, what the proof compares with.
    masks = download(page, tmp_path, "Download masks.safetensors", "link")
    assert masks.suffix == ".safetensors"
    for file in (onnx, compact):
        proof = verify(file)
        assert proof.ok, proof.failures
        assert proof.zeros == 54_619
    result = json.loads(download(page, tmp_path, "Download result.json", "link").read_text())
    assert result["config"] == RunConfig().to_dict()
    settings = download(page, tmp_path, "Download config.json", "link")
    assert RunConfig.read(settings) == RunConfig()
    layers = download(page, tmp_path, "Download layers.csv", "link").read_text()
    rows = list(csv.DictReader(layers.splitlines()))
    assert len(rows) == len(result["layers"])
    bundle = download(page, tmp_path, re.compile("Download everything"), "link")
    with zipfile.ZipFile(bundle) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert names >= {"README.md", "classify.py", "model.onnx", "charts/weights-kept.png"}
        assert archive.read(next(n for n in archive.namelist() if n.endswith("model.onnx"))) == (
            onnx.read_bytes()
        )

    # Tomorrow, in another tab of the same browser, the run is in the library.
    again = page.context.new_page()
    again.goto(address.partition("run?")[0] + "runs")
    again.get_by_role("link", name="Small CNN on Digits").click()
    expect(again).to_have_url(address)
    expect(again.get_by_role("heading", name=re.compile("of the weights removed"))).to_be_visible()


def test_a_run_is_started_with_the_keyboard_alone(come: Come):
    page = come(ALICE).open("?epochs=1")
    page.locator("body").press("Tab")
    button = page.get_by_role("button", name="Prune and train", exact=True)
    for _ in range(60):
        if button.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    # Somebody ran these settings before: the result is there at once.
    expect(page).to_have_url(ADDRESS)
    expect(page.get_by_role("heading", name=re.compile("weights removed"))).to_be_visible()
    settled(page)
