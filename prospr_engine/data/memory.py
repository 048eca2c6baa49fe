"""Do the images fit in memory? Checked before they are read."""

from __future__ import annotations

import os
from pathlib import Path

from prospr_engine.errors import ResourceError
from prospr_engine.format import gigabytes

SHARE = 0.5  # of the free memory that images may take; the run itself needs some too


def check_memory(N: int, C: int, size: int) -> None:
    """Raise ``ResourceError`` if ``N`` images of ``C`` x ``size`` x ``size`` bytes do not fit."""
    needed = N * C * size * size
    free = available_bytes()
    if free is not None and needed > SHARE * free:
        raise ResourceError(
            f"{N:,} images of {size} x {size} pixels take {gigabytes(needed)}, but only "
            f"{gigabytes(SHARE * free)} of memory can be used for them. Set a smaller "
            "image_size, or read fewer with train_limit and test_limit."
        )


def available_bytes() -> int | None:
    """Memory this process may still take, in bytes; ``None`` where the system does not say."""
    amounts = [
        amount for amount in (_free_on_machine(), _free_in_container()) if amount is not None
    ]
    return min(amounts) if amounts else None


def _free_on_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _free_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group (version 2) leaves; droppable file pages count as free."""
    try:
        limit = int((group / "memory.max").read_text("ascii"))
        used = int((group / "memory.current").read_text("ascii"))
        statistics = (group / "memory.stat").read_text("ascii").split()
        droppable = int(statistics[statistics.index("inactive_file") + 1])
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return None
    return max(0, limit - used + droppable)
