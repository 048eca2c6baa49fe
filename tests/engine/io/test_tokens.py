from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospr_engine.errors import ConfigError
from prospr_engine.io.tokens import clean_name, display_name, is_token, locate, token

DIGEST = "ab" * 32
NASTY = st.text(st.characters() | st.sampled_from('./\\ \0\n\r\t\u202e\u200d"<>:é\u0301'))


@given(NASTY)
@settings(deadline=None)
def test_any_name_becomes_a_printable_part_of_a_path(name: str) -> None:
    clean = clean_name(name)
    assert 1 <= len(clean) <= 80
    assert clean.isprintable()
    assert clean not in {".", ".."}
    assert not set(clean) & set('/\\":<>|*?')
    assert Path(clean).name == clean
    assert clean.strip() == clean
    clean.encode()  # no half characters


@given(NASTY)
@settings(deadline=None)
def test_cleaning_twice_changes_nothing(name: str) -> None:
    assert clean_name(clean_name(name)) == clean_name(name)


@given(NASTY)
@settings(deadline=None)
def test_a_token_names_what_it_was_made_of(name: str) -> None:
    named = token(DIGEST, name)
    assert is_token(named)
    assert display_name(named) == clean_name(name)
    assert DIGEST in named
    assert json.loads(json.dumps(named)) == named


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("flowers.zip", "flowers.zip"),
        ("/home/me/../flowers.zip", "flowers.zip"),
        ("C:\\Users\\me\\flowers.zip", "flowers.zip"),
        ("../../etc/passwd", "passwd"),
        ("photo\u202egpj.zip", "photogpj.zip"),
        ("a\0b\nc.zip", "ab c.zip"),
        (".zip", "zip"),
        ("...", "file"),
        ("", "file"),
        ("цветы и 花.zip", "цветы и 花.zip"),
        ("e\u0301.zip", "é.zip"),
        ("x" * 500 + ".safetensors", "x" * 68 + ".safetensors"),
        ("a." + "x" * 500, "a." + "x" * 78),
    ],
)
def test_names_as_people_and_attackers_give_them(name: str, clean: str) -> None:
    assert clean_name(name) == clean


def test_a_token_is_found_in_the_folder_of_uploads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PROSPR_UPLOADS", str(tmp_path))
    for suffix in (".zip", ".safetensors"):
        file = tmp_path / (DIGEST + suffix)
        file.write_bytes(b"x")
        assert locate(token(DIGEST, f"Mine{suffix.upper()}")) == file


def test_what_is_no_token_is_a_path() -> None:
    assert locate("some/where.zip") == Path("some/where.zip")
    assert (display_name("some/where.zip"), display_name("digits")) == ("where.zip", "digits")
    assert not is_token(None)


@pytest.mark.parametrize(
    "named",
    [
        "upload:",
        "upload:x.zip",
        f"upload:{DIGEST}",
        f"upload:{DIGEST}/",
        f"upload:{DIGEST.upper()}/x.zip",
        f"upload:{DIGEST}/../x.zip",
        f"upload:{DIGEST}/a\nb.zip",
        f"upload:{DIGEST[1:]}/x.zip",
        "upload:" + "../" * 21 + "x/x.zip",
    ],
)
def test_forged_tokens(named: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PROSPR_UPLOADS", str(tmp_path))
    for name in ("x.zip", f"{DIGEST}.zip", DIGEST):
        (tmp_path / name).write_bytes(b"x")
    assert is_token(named)
    assert display_name(named)
    with pytest.raises(ConfigError, match="Upload the file again"):
        locate(named)


def test_an_upload_that_is_gone(tmp_path: Path, monkeypatch) -> None:
    named = token(DIGEST, "flowers.zip")
    for folder in (str(tmp_path), str(tmp_path / "gone")):
        monkeypatch.setenv("PROSPR_UPLOADS", folder)
        with pytest.raises(ConfigError, match=r"flowers\.zip is no longer available") as error:
            locate(named)
        assert str(tmp_path) not in str(error.value)
    monkeypatch.delenv("PROSPR_UPLOADS")
    with pytest.raises(ConfigError, match="no longer available"):
        locate(named)
