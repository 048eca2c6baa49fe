"""What can go wrong, each with a sentence that says what is wrong and what to do.

Everything a caller can cause or cure is an ``EngineError``; any other exception is a fault of
the engine. The command line turns an ``EngineError`` into exit code 2, the dashboard into a
message beside the control that caused it.
"""

from __future__ import annotations

LONGEST = 4_000  # characters of a message: it may repeat a name that somebody sent


class EngineError(Exception):
    """Base of all errors whose message is meant for the user. ``code`` are lines that the message
    ends by pointing at, to be shown as code."""

    def __init__(self, *args: object, code: str = ""):
        super().__init__(*args)
        self.code = code

    def __str__(self) -> str:
        text, half = super().__str__(), LONGEST // 2
        return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


class ConfigError(EngineError):
    """A setting is unknown or out of range."""


class ModelError(EngineError):
    """A network cannot be built, does not fit the data, or holds nothing to prune."""


class DataError(EngineError):
    """Data are missing, unreadable, or do not fit the request."""


class ScoringError(EngineError):
    """Scores are not finite, or cannot be computed for this network."""


class TrainingError(EngineError):
    """Training diverged: the loss is NaN or infinite."""


class ExportError(EngineError):
    """A network cannot be written as ONNX, or a file cannot be read back."""


class ResourceError(EngineError):
    """The machine ran out of memory or disk space."""


class DiskError(ResourceError):
    """Files cannot be written: the disk is full, or the folder may not be written to."""


class CrashError(ResourceError):
    """A separate process that opened a file crashed: the file is damaged, or memory is missing."""


class StoreError(EngineError):
    """The store cannot be read or written, or refuses the request."""


class Stopped(EngineError):  # noqa: N818  (not an error)
    """The run was stopped on request."""
