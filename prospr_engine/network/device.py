"""Where to compute, and what to say when there is not enough room there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from prospr_engine.errors import ConfigError, ResourceError


def pick_device(name: str = "auto") -> torch.device:
    """The device called ``name``; "auto" takes a CUDA GPU, else Apple's, else the CPU.

    Raises ``ConfigError`` for a device that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"There is no device called {name!r}; choose auto, cpu or cuda."
        ) from None
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= available:
        raise ConfigError(f"This machine has no device {name!r}; choose auto or cpu.")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def best_precision(name: str, device: torch.device) -> str:
    """Resolve a training precision: "auto" is bfloat16 on a GPU that has it, else float32."""
    if name != "auto":
        return name
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return "bfloat16" if fast else "float32"


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Let a GPU give the same result every time, in the number format asked for: for float32
    convolutions cuDNN takes TF32 otherwise, which keeps ten bits."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


def float64_device(device: torch.device) -> torch.device:
    """Where to compute in float64 what lies on ``device``: Apple's GPUs cannot do it."""
    return torch.device("cpu") if device.type == "mps" else device


def is_out_of_memory(error: BaseException) -> bool:
    """Did an allocation fail? torch and others report that in several ways."""
    signs = ("out of memory", "allocate memory", "not enough memory", "bad_alloc")
    text = str(error).lower()
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(sign in text for sign in signs)


@contextmanager
def explained_memory(doing: str, remedy: str) -> Iterator[None]:
    """Turn a failed allocation into a ``ResourceError``."""
    try:
        yield
    except MemoryError as error:
        raise ResourceError(_no_memory(doing, remedy)) from error
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise ResourceError(_no_memory(doing, remedy)) from error
        raise


def _no_memory(doing: str, remedy: str) -> str:
    return f"There is not enough memory for {doing}; {remedy}."
