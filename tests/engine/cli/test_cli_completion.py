"""The script that the shell reads knows the commands and their flags."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from prospr_engine.cli.main import main

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p prospr | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["prospr", "swe"], {"sweep"}),
        (["prospr", "runs", "--re"], {"--rebuild"}),
        (["prospr", "list", "m"], {"methods", "models"}),
    ],
)
def test_bash_completes(
    words: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "prospr.bash"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", script, *words], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered


def test_zsh_gets_a_script_of_its_own(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef prospr")


def test_an_unknown_shell_is_refused():
    with pytest.raises(SystemExit):
        main(["completion", "fish"])
