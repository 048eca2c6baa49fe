"""A program: the peak memory in bytes after loading some images and reading them once more, in the
order of an epoch, for each of several numbers of images."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import torch

from prospr_engine.config import LoadingConfig
from prospr_engine.data import memory
from prospr_engine.data.load import load


def peak() -> int:
    """Of this process; getrusage would begin with the peak of the process that started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1024 * int(found[1])


def main(folder: str, room: int, *limits: int) -> None:
    memory.room = lambda: room
    peaks = []
    for limit in limits:
        data = load(folder, LoadingConfig(train_limit=limit, image_size=224), 0)
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
        total = sum(int(images[:, 0, 0, 0].sum()) for images in data.train.batches(order.split(16)))
        assert total >= 0
        peaks.append(peak())
    print(json.dumps(peaks))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
