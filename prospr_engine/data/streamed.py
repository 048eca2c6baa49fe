"""Images that do not fit in memory: each is decoded whenever it is needed, by threads that stay a
little ahead of who needs them.

Threads and not processes: Pillow and zlib decode without Python's lock. Two threads decode as many
photographs as two processes do, without a copy of every image from one process to the other.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from prospr_engine.config import SKIP_BROKEN
from prospr_engine.data.decode import UnreadableError
from prospr_engine.data.memory import check_batch
from prospr_engine.errors import DataError

AHEAD = 2  # batches decoded before they are needed
PIECES = 4  # of a batch for every thread, since some images take longer than others
MOST_THREADS = 8

Chosen = slice | Tensor
"""Which images: a range of them, or their positions, int64 (n,)."""


class Decoder:
    """The images of an opened source by their numbers from 0 to ``count`` - 1.

    ``read`` decodes one, uint8 of ``shape`` (C, H, W), and raises ``UnreadableError`` or
    ``OSError``; ``describe`` names one in messages. What an image looked like at first is
    remembered, so that a file that changes is noticed.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        shape: tuple[int, int, int],
        count: int,
        describe: Callable[[int], str],
        threads: int = MOST_THREADS,
    ):
        self.read = read
        self.shape = shape
        self.count = count
        self.describe = describe
        self.threads = max(1, min(threads, MOST_THREADS, os.cpu_count() or 1))
        self.changed = False
        """Whether an image is no longer what it was at first."""
        self._keys = np.zeros(count, np.uint64)
        self._known = np.zeros(count, bool)

    def keep_open(self, close: Callable[[], object]) -> None:
        """Call ``close`` when nobody needs the images any more."""
        weakref.finalize(self, close)

    def decode(self, numbers: np.ndarray, into: np.ndarray) -> None:
        """Write the images with these numbers (n,) to ``into``, uint8 (n, C, H, W). Raises
        ``DataError`` if one cannot be read, or has changed."""
        for number, target in zip(numbers.tolist(), into, strict=True):
            try:
                pixels = self.read(number)
            except (UnreadableError, OSError) as error:
                raise self._unreadable(number, str(error)) from None
            if pixels.shape != self.shape or not self._is_same(number, pixels):
                self.changed = True
                raise DataError(
                    f"{self.describe(number)} has changed since it was read first, so what was "
                    "computed from it no longer holds. Start again, and leave the images as they "
                    "are in the meantime."
                )
            target[...] = pixels

    def _is_same(self, number: int, pixels: np.ndarray) -> bool:
        content = np.ascontiguousarray(pixels).data
        key = np.frombuffer(hashlib.blake2b(content, digest_size=8).digest(), np.uint64)[0]
        if not self._known[number]:
            self._keys[number], self._known[number] = key, True
        return bool(self._keys[number] == key)

    def _unreadable(self, number: int, reason: str) -> DataError:
        if not self._known[number]:
            return unreadable(self.describe(number), reason)
        self.changed = True
        return DataError(
            f"{self.describe(number)} can no longer be read: {reason}. Put it back and start "
            "again, and leave the images as they are in the meantime."
        )


class Streamed:
    """N images, uint8 (N, C, H, W), of which none is in memory. Used like a tensor: they have a
    ``shape`` and a length, and ``images[chosen]`` is a tensor of some of them."""

    dtype = torch.uint8
    ndim = 4

    def __init__(self, decoder: Decoder, numbers: np.ndarray):
        self.decoder = decoder
        self._numbers = numbers

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), *self.decoder.shape)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, chosen: Chosen) -> Tensor:
        (images,) = self.batches([chosen])
        return images

    def split(self, counts: Sequence[int]) -> tuple[Streamed, ...]:
        """Consecutive images, so many each."""
        parts = np.split(self._numbers, np.cumsum(counts)[:-1])
        return tuple(Streamed(self.decoder, part) for part in parts)

    def batches(self, chunks: Iterable[Chosen]) -> Iterator[Tensor]:
        """The images of each of ``chunks``, decoded while earlier ones are in use. Raises
        ``DataError`` for images that cannot be read, ``ResourceError`` if a batch does not fit."""
        pool = ThreadPoolExecutor(self.decoder.threads, thread_name_prefix="images")
        waiting: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
        try:
            for chunk in chunks:
                waiting.append(self._begin(pool, chunk))
                if len(waiting) > AHEAD:
                    yield _ended(*waiting.popleft())
            while waiting:
                yield _ended(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(
        self, pool: ThreadPoolExecutor, chunk: Chosen
    ) -> tuple[np.ndarray, list[Future[None]]]:
        numbers = self._numbers[chunk if isinstance(chunk, slice) else chunk.numpy()]
        check_batch(len(numbers), *self.decoder.shape)
        images = np.empty((len(numbers), *self.decoder.shape), np.uint8)
        pieces = max(1, min(len(numbers), PIECES * self.decoder.threads))
        works = zip(np.array_split(numbers, pieces), np.array_split(images, pieces), strict=True)
        return images, [pool.submit(self.decoder.decode, own, into) for own, into in works]


def _ended(images: np.ndarray, works: Sequence[Future[None]]) -> Tensor:
    for work in works:
        work.result()
    return torch.from_numpy(images)


Images = Tensor | Streamed
"""uint8 (N, C, H, W), in memory or not."""


def batches(images: Images, chunks: Iterable[Chosen]) -> Iterator[Tensor]:
    """The images of each of ``chunks``, in this order."""
    if isinstance(images, Streamed):
        return images.batches(chunks)
    return (images[chunk] for chunk in chunks)


def unreadable(image: str, reason: str) -> DataError:
    """For an image that is broken; ``image`` names it at the start of a sentence."""
    return DataError(
        f"{image} cannot be read: {reason}. Repair or remove it, or skip broken images "
        f"({SKIP_BROKEN}; in the form under Advanced, Data)."
    )
