"""Memory does not grow with the pixels, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

FEW, MANY = 150, 600
PIXELS = 3 * 224 * 224  # of an image
SLACK = 220  # images' worth of what allocators and threads may take more, at any time

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak memory")


@pytest.fixture
def photographs(folder, picture) -> str:
    """Plain, so that their files are small; large enough for several threads."""
    return folder(
        {
            f"{part}/{own}/{number}.jpg": picture(
                size=(230, 230), colour=(number % 256, 99 * place, number // 3), format="JPEG"
            )
            for part, count in (("train", MANY // 2), ("test", 10))
            for place, own in enumerate("ab")
            for number in range(count)
        }
    )


def grown(folder: str, room: int) -> float:
    """By how many images' pixels the peak is higher for many images than for few."""
    program = Path(__file__).with_name("memory_of_epochs.py")
    arguments = [sys.executable, str(program), folder, str(room), str(FEW), str(MANY)]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    few, many = json.loads(done.stdout)
    return (many - few) / PIXELS


def test_memory_does_not_grow_with_the_pixels(photographs) -> None:
    assert grown(photographs, room=0) < SLACK
    assert grown(photographs, room=10**12) > MANY - FEW - SLACK  # so the other is no accident
