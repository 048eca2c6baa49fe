"""Numbers as people read and write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prospr_engine import format as f

FRACTIONS = st.floats(0, 1)
COUNTS = st.integers(0, 10**12)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@given(st.decimals(0, 100, places=8))
def test_a_percentage_and_back(percent):
    number = float(percent)
    fraction = f.to_fraction(number)
    assert fraction == float(percent / 100)  # exact decimals, rounded once
    assert f.to_percent(fraction) == number


@given(FRACTIONS)
def test_a_fraction_and_back(fraction):
    assert math.isclose(f.to_fraction(f.to_percent(fraction)), fraction, abs_tol=1e-12)


@given(st.decimals(0, 1, places=8))
def test_what_is_printed_exactly_can_be_read(fraction):
    text = f.exact_percent(float(fraction))
    read = f.read_percent(text)
    assert read is not None
    assert f.to_fraction(read) == float(fraction)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("95%", 95.0),
        (" 95 % ", 95.0),
        ("99.9 %", 99.9),
        ("0.95", None),
        ("95%%", None),
        ("%", None),
        ("95% or so", None),
        ("many %", None),
    ],
)
def test_a_percentage_is_read(text, number):
    assert f.read_percent(text) == number


@given(FRACTIONS)
def test_a_percentage_says_all_or_nothing_only_of_all_or_nothing(fraction):
    assume(1e-7 < fraction < 1 - 1e-7 or fraction in (0, 1))
    text = f.percent(fraction)
    assert (plain(text) == "0 %") == (fraction == 0)
    assert (plain(text) == "100 %") == (fraction == 1)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (f.percent, 0.9, "90 %"),
        (f.percent, 0.972, "97.2 %"),
        (f.percent, 0.99996, "99.996 %"),
        (f.percent, 0.0, "0 %"),
        (f.percent, 0.0004, "0.04 %"),
        (f.exact_percent, 0.9684, "96.84 %"),
        (f.exact_percent, 0.07, "7 %"),
        (f.exact_percent, 0.999999, "99.9999 %"),
        (f.percent_number, 0.1, "10"),
        (f.percentages, [0.8, 0.95], "80, 95 %"),
        (f.fixed_percent, 0.5, "50.0 %"),
        (f.accuracy, 0.97, "97.0 %"),
        (lambda share: f.accuracy_range(share - 0.01, share), 0.963, "95.3 – 96.3 %"),
        (f.confidence, 0.983, "98 %"),
        (f.confidence, 1.0, "over 99 %"),
        (f.confidence, 0.0, "under 1 %"),
        (f.noise, 0.0009, "less than 0.1 %"),
        (f.noise, 0.00137, "0.14 %"),
        (f.noise, 0.996, "100 %"),
        (f.cell_percent, 0.0, "0.0"),
        (f.cell_percent, 0.0001, "<0.1"),
        (f.cell_percent, 0.071, "7.1"),
        (f.cell_percent, 0.43, "43"),
        (f.signed, -1.1, "−1.1"),
        (f.signed, 0.3, "+0.3"),
        (f.signed_points, 1.0, "+1.0 point"),
        (f.signed_points, -2.5, "−2.5 points"),
        (f.points, -2.5, "2.5 points"),
        (f.points, 1.04, "1.0 point"),
        (f.size, 254_422, "254 kB"),
        (f.size, 1, "1 kB"),
        (f.size, 1_300_000, "1.3 MB"),
        (f.exact_kilobytes, 100_500, "100.5 kB"),
        (f.megabytes, 1_200_000_000, "1,200 MB"),
        (f.gigabytes, 2_147_483_648, "2.1 GB"),
        (f.duration, 59.4, "59 s"),
        (f.duration, 75, "1 min 15 s"),
        (f.duration, 9_000, "2 h 30 min"),
        (f.rough_duration, 0.2, "1 s"),
        (f.rough_duration, 89, "89 s"),
        (f.rough_duration, 200, "3 min"),
        (f.rough_duration, 3_599, "1 h"),
        (f.rough_duration, 9_000, "2 h 30 min"),
        (f.estimated, 3, "under 10 s"),
        (f.estimated, 12, "≈ 10 s"),
        (f.estimated, 37, "≈ 35 s"),
        (f.estimated, 58, "≈ 1 min"),
        (f.estimated, 100, "≈ 2 min"),
        (f.estimated, 1_500, "≈ 25 min"),
        (f.estimated, 3_500, "≈ 1 h"),
        (f.estimated, 9_000, "≈ 2.5 h"),
        (f.estimated, 90_000, "≈ 25 h"),
        (f.estimated, 800_000, "≈ 9 days"),
        (f.time_left, 0, "a few seconds left"),
        (f.time_left, 10, "a few seconds left"),
        (f.time_left, 10.1, "about 20 s left"),
        (f.time_left, 37, "about 40 s left"),
        (f.time_left, 90, "about 90 s left"),
        (f.time_left, 91, "about 2 min left"),
        (f.time_left, 600, "about 10 min left"),
        (f.time_left, 7_300, "about 3 h left"),
        (f.plain_number, 100.0, "100"),
        (f.plain_number, 2.0**40, "1099511627776"),
        (f.plain_number, 0.25, "0.25"),
        (f.rough_number, 0, "0"),
        (f.rough_number, 5, "5"),
        (f.rough_number, 30_477, "30,000"),
        (f.rough_number, 304_768, "300,000"),
        (f.rough_number, 999_999, "1.0 million"),
        (f.rough_number, 40_551_040, "41 million"),
        (f.rough_number, 1.29e9, "1.3 billion"),
        (f.scientific, 0.0, "0"),
        (f.scientific, 0.5, "0.5"),
        (f.scientific, 12.345, "12.3"),
        (f.scientific, 0.00023, "2.3 · 10⁻⁴"),
        (f.scientific, -0.00023, "−2.3 · 10⁻⁴"),
        (f.scientific, 45_000.0, "4.5 · 10⁴"),
    ],
)
def test_a_number_in_words(function, value, text):
    assert plain(function(value)) == text


@given(st.decimals(0, 1, places=4), st.decimals(0, 1, places=4))
def test_points_add_up_with_what_is_shown(before, after):
    shown = [float(plain(f.accuracy(float(one))).removesuffix(" %")) for one in (before, after)]
    assert math.isclose(shown[0] + f.points_between(*map(float, (before, after))), shown[1])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100kB", 100_000),
        ("0.1 MB", 100_000),
        ("100000", 100_000),
        ("1 gb", 10**9),
        (".5kb", 500),
        ("0.1", None),
        ("0", None),
        ("100 kiB", None),
        ("-1kB", None),
        ("", None),
    ],
)
def test_a_size_is_read(text, size):
    assert f.read_size(text) == size


@given(COUNTS)
def test_one_is_one_and_everything_else_is_many(number):
    text = f.counted(number, "image")
    count, noun = text.split()
    assert int(count.replace(",", "")) == number
    assert noun == ("image" if number == 1 else "images")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((2_000, "image"), "2,000 images"),
        ((1, "criterion", "criteria"), "1 criterion"),
        ((3, "criterion", "criteria"), "3 criteria"),
    ],
)
def test_a_count_in_words(arguments, text):
    assert f.counted(*arguments) == text


@pytest.mark.parametrize(
    ("words", "most", "text"),
    [
        ([], None, ""),
        (["a"], None, "a"),
        (["a", "b"], None, "a and b"),
        (["a", "b", "c"], None, "a, b and c"),
        (["a", "b", "c"], 3, "a, b and c"),
        (["a", "b", "c", "d"], 3, "a, b and 2 more"),
        (["a, x", "b", "c"], None, "a, x; b; and c"),
    ],
)
def test_a_list_in_words(words, most, text):
    assert f.listed(words, most) == text


@given(st.lists(st.text("abc", min_size=1), max_size=3_000), st.integers(2, 9))
def test_a_long_list_accounts_for_every_word(words, most):
    text = f.listed(words, most)
    named = [] if not words else text.replace(" and ", ", ").split(", ")
    if len(words) > most:
        hidden = int(named.pop().removesuffix(" more").replace(",", ""))
        assert hidden > 1
        assert len(named) + hidden == len(words)
    else:
        assert named == words


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("95", 0.95), ("0.95", 0.95), ("95%", 0.95), (" 95 % ", 0.95), ("1", 0.01), ("0.5", 0.5),
        ("0.5%", 0.005), ("0", 0.0), ("0.999999", 0.999999), ("1e-3", 0.001), ("7.1", 0.071),
        ("100", None), ("100%", None), ("-0.1", None), ("nan", None), ("inf", None), ("", None),
        ("much", None), ("95%%", None),
    ],
)  # fmt: skip
def test_a_share_is_read_as_a_fraction_or_a_percentage(text, share):
    assert f.read_share(text) == share


@given(st.floats(0, 0.999999))
def test_a_share_that_is_written_is_read(share):
    written = round(share, 12)
    assert f.read_share(f.fraction_number(written)) == pytest.approx(written, abs=1e-12)
