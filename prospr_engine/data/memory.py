"""Do the images fit in memory, or is each decoded whenever it is needed?"""

from __future__ import annotations

import os
from pathlib import Path

from prospr_engine.errors import ResourceError
from prospr_engine.format import counted, gigabytes

SHARE = 0.5  # of the free memory that images may take; the run itself needs some too
PIXEL = 5  # bytes of a value in a batch: itself, and as a single-precision number


def room() -> int | None:
    """Bytes that all images of a run may take; ``None`` where the system does not say."""
    free = available_bytes()
    return None if free is None else int(SHARE * free)


def fits(N: int, C: int, H: int, W: int) -> bool:
    """Whether ``N`` images of ``C`` x ``H`` x ``W`` bytes may be kept in memory."""
    most = room()
    needed = N * C * H * W
    return most is None or needed <= most


def check_batch(N: int, C: int, H: int, W: int) -> None:
    """Raise ``ResourceError`` if not even ``N`` images fit, which are needed at once."""
    needed, free = PIXEL * N * C * H * W, available_bytes()
    if free is not None and needed > free:
        raise ResourceError(
            f"A batch of {counted(N, 'image')} of {W} x {H} pixels takes {gigabytes(needed)}, but "
            f"only {gigabytes(free)} of memory is free. Set a smaller image_size or smaller "
            "batches."
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
