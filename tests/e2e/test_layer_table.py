"""A single layer is set in a table on a phone, and the address holds it."""

from __future__ import annotations

import re

import pytest
from conftest import Come
from e2e_browser import expect, settled
from e2e_dashboard import visitors

pytestmark = pytest.mark.browser
ALICE, _ = visitors("layer table")
ROW = 35  # pixels, as Streamlit draws it


def test_a_layer_is_set_in_the_table(come: Come):
    page = come(ALICE).open("?model=ResNet-20")
    page.set_viewport_size({"width": 400, "height": 2000})  # without scrolling
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_role("tab", name="Layers").click()
    page.get_by_text("Choose layers in a table").click()
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    settled(page)
    box = table.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 400
    page.mouse.dblclick(box["x"] + box["width"] - 45, box["y"] + ROW * 1.5)
    page.locator("#portal input").first.wait_for()
    page.keyboard.type("dense")
    page.keyboard.press("Enter")
    typed = page.get_by_role("textbox", name="Layers set by hand")
    expect(typed).to_have_value("conv1=dense")
    expect(page).to_have_url(re.compile("layer=conv1%3Ddense"))
