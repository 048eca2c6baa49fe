"""The page "Learn": drawn from a real run, and true to it whatever that run found."""

from __future__ import annotations

import ast
import copy
from statistics import mean

import numpy as np
import pytest
from app_fakes import new, words
from helpers import formulas
from paths import ROOT
from streamlit.testing.v1 import AppTest

from app import pages
from app.learn import charts
from app.learn import words as learn
from app.ui.glossary import TERMS
from benchmarks import learn as benchmark
from prospr_engine.report.charts.colours import LIGHT

SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def page(store) -> AppTest:
    return new().run().switch_page(pages.LEARN).run()


@pytest.fixture
def facts():
    return copy.deepcopy(learn.facts())


def html(page: AppTest) -> str:
    return "".join(element.proto.body for element in page.get("html"))


def test_the_committed_file_is_what_the_command_finds(facts):
    ready = benchmark.prepared(0)
    scores = {method: benchmark.score(ready, method) for method in benchmark.METHODS}
    for method, found in scores.items():
        kept = [layer.kept for layer in found.masks(benchmark.SHOWN).layers]
        # Another machine may round otherwise, and a few weights at the border change sides.
        np.testing.assert_allclose(kept, facts["layers"][method], rtol=0.02, atol=2)
    pixels = benchmark.pixels(ready, scores)
    assert pixels["brightness"] == facts["pixels"]["brightness"]
    assert benchmark.examples(ready) == facts["digits"]
    np.testing.assert_allclose(
        scores["prospr"].diagnostics.losses, facts["look_ahead"]["losses"], rtol=1e-3
    )
    assert facts["command"] == benchmark.COMMAND
    assert facts["setting"]["epochs"] == benchmark.EPOCHS
    assert [f"{s:g}" for s in benchmark.SPARSITIES] == list(facts["accuracy"]["pruned"]["snip"])


def test_the_page_tells_its_story_and_where_it_is_from(page, facts):
    assert not page.exception
    output = words(page)
    for sentence in (learn.layers(facts), learn.pixels(facts), learn.look_ahead(facts),
                     learn.helps(facts), learn.best(facts)):  # fmt: skip
        assert sentence in output
    assert "`python -m benchmarks.learn`" in output
    charts_drawn = page.get("vega_lite_chart")
    assert len(charts_drawn) == 3
    assert all(len(chart.proto.alt) > 60 for chart in charts_drawn)
    assert html(page).count('role="img"') == 10 + 5
    assert html(page).count("aria-label") == 10 + 5


def test_every_term_is_in_the_glossary(page):
    shown = html(page)
    for term in TERMS:
        assert f"<dt>{term}</dt>" in shown


def test_the_glossary_is_searched_by_word_and_then_by_meaning(page):
    page.text_input(key="glossary").input("Sparsity").run()
    found = [part.split("<")[0] for part in html(page).split("<dt>")[1:]]
    assert found[:2] == ["effective sparsity", "sparsity"]
    assert "density" in found  # its sentence speaks of sparsity
    assert "kernel" not in found
    page.text_input(key="glossary").input("<b>nothing").run()
    assert "No matching terms" in words(page)
    assert not page.exception


def test_every_formula_in_the_app_is_well_formed():
    found = [
        formula
        for path in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.count("$") > 1
        for formula in formulas(node.value)
    ]
    assert len(found) >= 8
    for formula in found:
        assert formula.strip()
        assert formula.count("{") == formula.count("}"), formula
        assert formula.count(r"\left") == formula.count(r"\right"), formula


def test_a_formula_that_begins_beside_its_marks_is_noticed():
    with pytest.raises(AssertionError, match="alone on its line"):
        formulas("$$s = 1\n+ 2$$")


def test_random_may_win_and_is_said_to(facts):
    at = f"{facts['setting']['sparsity']:g}"
    facts["accuracy"]["pruned"]["random"][at] = [0.99, 0.991, 0.99, 0.991, 0.99]
    assert f"Random 99.0{SPACE}%, ProsPr" in learn.helps(facts)
    assert "Random leads" in learn.helps(facts)
    assert f"Random at 95{SPACE}%" in learn.best(facts)


def test_what_seeds_cannot_tell_apart_is_not_distinguished(facts):
    at = f"{facts['setting']['sparsity']:g}"
    pruned = facts["accuracy"]["pruned"]
    pruned["prospr"][at], pruned["snip"][at] = [0.9, 0.92, 0.94], [0.92, 0.91, 0.95]
    assert "within the noise" in learn.helps(facts)
    pruned["snip"][at] = [0.96, 0.97, 0.98]
    assert "SNIP leads ProsPr" in learn.helps(facts)


def test_the_worst_layer_is_named_whoever_did_it(facts):
    facts["layers"]["prospr"] = [2500, 10, 0]
    assert learn.layers(facts).startswith("ProsPr leaves 0 of the 1,000 weights of layer 3")


def test_the_charts_show_the_figures(facts):
    rows = charts.accuracy_table(learn.accuracies(facts), learn.LABELS)
    at = rows[(rows["criterion"] == "SNIP") & (rows["removed"] == f"90{SPACE}%")].iloc[0]
    found = facts["accuracy"]["pruned"]["snip"]["0.9"]
    assert (at["mean"], at["lowest"], at["highest"]) == (mean(found), min(found), max(found))
    spec = charts.accuracy_chart(learn.LABELS, [0.5, 0.9], LIGHT)
    shapes = spec["layer"][2]["encoding"]["shape"]["scale"]
    assert len(shapes["domain"]) == len(shapes["range"]) == 5  # not by colour alone
    shades = spec["layer"][1]["encoding"]["color"]["scale"]
    assert dict(zip(shades["domain"], shades["range"], strict=True))["ProsPr"] == LIGHT.kept
    layers = charts.layers_table(facts, learn.LABELS)
    assert len(layers) == 12
    assert "Magnitude: Layer 1 12.6" in charts.layers_description(layers)
    ahead = charts.ahead_table(facts)
    steps = facts["setting"]["steps"]
    threshold = facts["setting"]["sparsity"]
    joins = ahead[ahead["way"] == charts.WAYS["joins"]].set_index("steps")["place"]
    assert (joins[0] <= threshold).all()
    assert (joins[steps] >= threshold).all()


def test_terms_are_plain_sentences():
    assert list(TERMS) == sorted(TERMS, key=str.lower)
    for term, text in TERMS.items():
        assert text[0].isupper(), term
        assert text[-1] in ".?", term
        assert len(text) <= 180, term
        assert " %" not in text, f"{term}: a non-breaking space before %"
