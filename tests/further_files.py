"""Settings that name files, besides the data and the weights."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from prospr_engine.config import RunConfig, TrainingConfig


def give_more_settings_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``device``, and ``schedule`` in a group, name a file as well."""
    for kind, name in ((RunConfig, "device"), (TrainingConfig, "schedule")):
        field = kind.__dataclass_fields__[name]
        bounds = {
            "choices": (field.default,),
            **field.metadata["bounds"],
            "files": (".safetensors",),
        }
        metadata = MappingProxyType({**field.metadata, "bounds": bounds})
        monkeypatch.setattr(field, "metadata", metadata)
