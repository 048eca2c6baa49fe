from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from prospr_engine.cli import main as cli
from prospr_engine.cli import render
from prospr_engine.cli.output import make_writable
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

ENCODINGS = ["cp1252", "cp437", "ascii", "cp932", "iso8859-15", "koi8-r", "utf-8", "utf-16"]


def written(encoding: str, monkeypatch, work) -> str:
    """What ``work`` writes to a standard output of that encoding."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    work()
    stream.flush()
    return content.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_will_do(encoding, monkeypatch) -> None:
    text = written(encoding, monkeypatch, lambda: cli.main(["list", "models"]))
    assert "resnet20" in text
    proof = {
        "ok": False,
        "path": "x",
        "checks": [{"ok": True, "text": "One."}, {"ok": False, "text": "Two."}],
    }

    def show() -> None:
        make_writable(sys.stdout)
        render.print_proof(proof)

    lines = written(encoding, monkeypatch, show).splitlines()
    marks = [line.split(" ")[0] for line in lines if line.endswith(("One.", "Two."))]
    fits = encoding.startswith("utf")
    assert marks == (["✓", "✗"] if fits else ["ok:", "FAILED:"])


@pytest.mark.parametrize(
    ("text", "plain"),
    [("−1.1 – 2 ≈ x", "-1.1 - 2 about x"), ("Größe", "Gro?e"), ("10⁻⁴", "10-4"), ("猫", "?")],
)
def test_what_an_encoding_lacks_becomes_plain(text, plain, monkeypatch) -> None:
    def show() -> None:
        make_writable(sys.stdout)
        print(text)

    assert written("ascii", monkeypatch, show).strip() == plain


def test_names_that_are_no_text_are_written(monkeypatch) -> None:
    """Linux allows any bytes in a file name; Python keeps them as lone surrogates."""

    def show() -> None:
        make_writable(sys.stdout)
        print(b"a\xff".decode("utf-8", "surrogateescape"))

    assert written("utf-8", monkeypatch, show).strip() == "a?"


@pytest.mark.parametrize("config", [RunConfig, SweepConfig, SearchConfig])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 200_000, "is not JSON"),
        ('{"model":' * 200_000 + "1" + "}" * 200_000, "is not JSON"),
        ('{"model": ' + "[" * 500 + "]" * 500 + "}", "."),
        ('"' + "x" * 25_000_000 + '"', "settings never need"),
        (json.dumps({"y" * 10_000_000: 1}), "yyy"),
        ("1" * 100_000, "is not JSON"),
        ("\xff", "."),
    ],
    ids=["lists", "objects", "deep value", "long", "long name", "digits", "other"],
)
def test_files_that_are_no_settings(config, content, sentence, tmp_path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        config.read(path)
    assert sentence in str(refusal.value)
    assert len(str(refusal.value)) < 1_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_settings_in_the_encodings_of_json(encoding, tmp_path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"model": "mlp", "seed": 7}', encoding=encoding)
    assert RunConfig.read(path) == RunConfig(model="mlp", seed=7)


@pytest.mark.parametrize(
    "content", ['{"model": "mlp", "model": "lenet5"}', '{"loading": {"a": 1, "b": 2, "a": 1}}']
)
def test_a_setting_that_is_given_twice_is_refused(content, tmp_path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'(model|a)' twice"):
        RunConfig.read(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device without an end")
def test_settings_without_an_end_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than 20"):
        RunConfig.read("/dev/zero")


@pytest.mark.parametrize("name", ["model", "method", "sparsity", "epochs", "control", "loading"])
@pytest.mark.parametrize("value", ["x" * 9_000_000, [["x"] * 10] * 100_000], ids=["text", "list"])
def test_long_values_are_not_repeated(name, value, capsys, tmp_path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value}), encoding="utf-8")
    assert cli.main(["run", "--config", str(path), "--out", str(tmp_path / "out")]) == 2
    assert 0 < len(capsys.readouterr().err) < 2_000


def test_a_byte_order_mark_is_no_fault(tmp_path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(RunConfig(seed=3).to_dict()), encoding="utf-8-sig")
    assert RunConfig.read(path) == RunConfig(seed=3)


def test_no_message_is_endless() -> None:
    text = str(DataError("begin " + "x" * 10_000_000 + " end"))
    assert text.startswith("begin")
    assert text.endswith("end")
    assert len(text) < 5_000


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [(">&-", 0, ""), ("2>&-", 0, "small_cnn"), (">&- 2>&-", 0, ""), ("<&-", 0, "small_cnn")],
)
def test_closed_streams_are_no_errors(closed, code, said) -> None:
    command = f'"{sys.executable}" -m prospr_engine list models {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert said in done.stdout
    assert bool(done.stdout) == bool(said)
