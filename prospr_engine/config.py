"""The settings of a run: frozen, checked when created, and identified by a fingerprint.

Names (of models, data sets, methods, controls) are checked against their tables in
``pipeline.setup.check``; ranges are checked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from prospr_engine.errors import ConfigError
from prospr_engine.format import SPACE, brief, fraction_number, to_fraction
from prospr_engine.identity import dense_settings, fingerprint
from prospr_engine.io.files import read_settings
from prospr_engine.overrides import Override, check_layers
from prospr_engine.registry import check_options, setting, settings_of

WEIGHTS, CHANNELS = "weights", "channels"
"""The values of ``RunConfig.kind``."""
FRESH = "fresh"
"""The value of ``RunConfig.weights`` for new ones; all others were trained elsewhere."""
NO_CONTROL = "none"
"""The value of ``RunConfig.control`` for no control: train what the criterion chose."""
MAX_SEED = 2**32 - 1
SKIP_BROKEN = "--skip-broken"
"""The flag of ``LoadingConfig.skip_broken``; messages about images that cannot be read name it."""
ENCODINGS = ("dense", "compact")
"""The ONNX files of a run by default. The first is written whatever else is chosen: every tool can
read it, and the figures of a run are those of this file."""


class _Checked:
    """Checks every plain setting against its bounds when an instance is created."""

    def __post_init__(self) -> None:
        for option in settings_of(type(self)):
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))


@dataclass(frozen=True)
class LoadingConfig(_Checked):
    """Which images are read, at what size, and how they are split."""

    image_size: int | None = setting(
        None,
        "side of the square images in pixels (default: from the data)",
        optional=True,
        value_type=int,
        minimum=4,
        maximum=1024,
    )
    colour: str = setting(
        "auto",
        "read images as grey or in colour (auto: as the network needs them, if its input is fixed, "
        "else as they are)",
        choices=("auto", "grey", "colour"),
    )
    train_limit: int | None = setting(
        None,
        "use at most this many training images, chosen by the seed, classes balanced",
        optional=True,
        value_type=int,
        minimum=10,
    )
    test_limit: int | None = setting(
        None,
        "use at most this many test images, chosen by the seed, classes balanced",
        optional=True,
        value_type=int,
        minimum=10,
    )
    validation_fraction: float = setting(
        0.1, "share of the training images held out for validation", minimum=0.01, maximum=0.5
    )
    test_fraction: float = setting(
        0.2,
        "share held out for testing if the data have no test part",
        minimum=0.01,
        maximum=0.5,
    )
    normalisation: str = setting(
        "auto",
        "how pixels are scaled: by mean and deviation of the training images (data) or of "
        "ImageNet, to 0..1 (unit), to -1..1 (centred) or not (bytes, 0..255); auto: data for new "
        "weights, and for given ones what they were trained with, as far as that can be found out",
        choices=("auto", "data", "imagenet", "unit", "centred", "bytes"),
    )
    skip_broken: bool = setting(
        False, "skip images that cannot be read, and list them, instead of stopping"
    )


@dataclass(frozen=True)
class ScoringConfig(_Checked):
    """The calibration batches a criterion sees, and its own options."""

    batch_size: int = setting(128, "images in one calibration batch", minimum=2, maximum=65536)
    batches: int = setting(
        1,
        "calibration batches; a single one is used for every step, more are used in turn",
        minimum=1,
        maximum=1024,
    )
    precision: str | None = setting(
        None,
        "number format for scoring (default: float64 where rounding would decide the ranking, "
        "float32 elsewhere)",
        optional=True,
        value_type=str,
        choices=("float32", "float64"),
    )
    check_ranking: bool = setting(
        False,
        "score a second time, from weights that differ by rounding, and report the share of the "
        "kept weights that both times agree on (takes twice as long)",
    )
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the method, by name: see its row in ``METHODS``."""


@dataclass(frozen=True)
class TrainingConfig(_Checked):
    """Stochastic gradient descent, the same for the dense and the pruned network."""

    batch_size: int | None = setting(
        None,
        "images in one training step (default: 128, fewer for small data sets)",
        optional=True,
        value_type=int,
        minimum=2,
        maximum=65536,
    )
    lr: float | None = setting(
        None,
        "initial learning rate (default: the model's own)",
        optional=True,
        value_type=float,
        minimum=0.0,
        maximum=100.0,
    )
    momentum: float = setting(0.9, "momentum of the optimiser", minimum=0.0, maximum=0.9999)
    weight_decay: float = setting(5e-4, "weight decay (L2)", minimum=0.0, maximum=1.0)
    schedule: str = setting(
        "cosine",
        "learning rate decay: to zero along a cosine, or tenfold at half and at three quarters",
        choices=("cosine", "step", "constant"),
    )
    augmentation: str = setting(
        "auto",
        "random shifts and flips of the training images (auto: what suits the data)",
        choices=("auto", "none", "shift", "shift+flip"),
    )
    precision: str = setting(
        "auto",
        "number format for training (auto: bfloat16 on GPUs that support it, else float32)",
        choices=("auto", "float32", "bfloat16"),
    )


@dataclass(frozen=True)
class RunConfig(_Checked):
    """Everything that determines the result of a run. Same config, same machine, same result.

    Raises ``ConfigError`` when a value is out of range.
    """

    model: str = setting(
        "small_cnn",
        "network: a name, or the path of an ONNX file",
        files=(".onnx",),
        catalogue="prospr_engine.models:MODELS",
    )
    data: str = setting(
        "digits",
        "data set: a name, or the path of images: a folder, zip, npz or Parquet file with classes",
        files=(".zip",),
        catalogue="prospr_engine.data:DATASETS",
    )
    method: str = setting("prospr", "criterion that ranks the weights", table="method")
    kind: str = setting(
        WEIGHTS,
        "what is removed: single weights, which become zeros, or whole channels, after which the "
        "network itself is smaller",
        choices=(WEIGHTS, CHANNELS),
    )
    sparsity: float = setting(0.9, "fraction of the weights removed, at least 0 and below 1")
    epochs: int = setting(3, "passes over the training data", minimum=0, maximum=10_000)
    seed: int = setting(
        0, "determines initial weights, splits, batches and noise", minimum=0, maximum=MAX_SEED
    )
    weights: str = setting(
        FRESH,
        "initial weights: new ones, those that come with the network (torchvision's, timm's, "
        "or those in its ONNX file), or those in a file of safetensors or PyTorch "
        "(.safetensors, .pt, .pth, .bin, .ckpt)",
        choices=(FRESH, "pretrained"),
        files=(".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
    )
    channel_budget: str = setting(
        "parameters",
        "what the sparsity is a share of when channels are removed: weights, operations "
        "(multiply-adds) or channels",
        choices=("parameters", "operations", "channels"),
    )
    channel_multiple: int = setting(
        8,
        "when channels are removed, wide layers keep a multiple of this many (runtimes are "
        "fastest with multiples of 8)",
        minimum=1,
        maximum=256,
    )
    layer_floor: int = setting(
        0, "minimum number of weights that every layer keeps", minimum=0, maximum=1_000_000
    )
    control: str = setting(
        NO_CONTROL,
        "what to change after pruning, to see whether it matters: which weights are kept within "
        "each layer (shuffle), their initial values (reinit), or everything but the number of "
        "weights kept per layer (random)",
        table="control",
    )
    device: str = setting("auto", "where to compute: auto, cpu, cuda, cuda:1, mps")
    encodings: tuple[str, ...] = setting(
        ENCODINGS,
        f"ONNX files to write, by how they store the weights; {ENCODINGS[0]} is always among them",
        table="encoding",
    )
    loading: LoadingConfig = field(default_factory=LoadingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    layers: Mapping[str, Override] = field(default_factory=dict)
    """Layers with a setting of their own, by name or pattern: see ``overrides``."""

    def __post_init__(self) -> None:
        if callable(self.method):
            raise ConfigError(
                "The method is given as a function, but a run is saved with its name: register it "
                "(METHODS.register) and give the name, or score with pe.score."
            )
        super().__post_init__()
        check_sparsity(self.sparsity)
        # One order, so that the order in which they were given does not matter.
        further = sorted({*self.encodings} - {ENCODINGS[0]})
        object.__setattr__(self, "encodings", (ENCODINGS[0], *further))
        object.__setattr__(self, "layers", check_layers(self.layers))
        self._check_kind()
        for name, group in GROUPS.items():
            if not isinstance(getattr(self, name), group):
                raise ConfigError(f"{name} is not a {group.__name__}.")

    def _check_kind(self) -> None:
        if self.kind == WEIGHTS:
            return
        for name, off, why in NOT_FOR_CHANNELS:
            value = getattr(self.scoring if name == "check_ranking" else self, name)
            if value != off:
                raise ConfigError(f"With kind={CHANNELS!r}, {why}")

    def to_dict(self) -> dict[str, Any]:
        """Every setting, as JSON-ready values."""
        return {**dataclasses.asdict(self), "encodings": list(self.encodings)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The config from ``to_dict``; ``ConfigError`` if a setting is unknown or invalid."""
        return _build(cls, values, "the settings")

    @classmethod
    def read(cls, path: str | Path) -> RunConfig:
        """Read a ``config.json``; raises ``ConfigError`` if it is missing or invalid."""
        return cls.from_dict(read_settings(path, "the config.json of a run"))

    @property
    def dense(self) -> RunConfig:
        """The settings that determine the dense network, with all others at their defaults."""
        return RunConfig(**dense_settings(self))

    @property
    def given(self) -> bool:
        """Whether the weights were trained elsewhere, and are not new."""
        return self.weights != FRESH

    @property
    def fingerprint(self) -> str:
        """Names the settings: 16 hex digits; see ``identity.fingerprint``."""
        return fingerprint(self)


NOT_FOR_CHANNELS = (
    ("layer_floor", 0, "no layer loses all its channels; leave layer_floor out."),
    ("control", NO_CONTROL, "there are no controls: they move single weights; leave control out."),
    (
        "check_ranking",
        False,
        "the ranking is of channels, not of the single weights that check_ranking compares; "
        "leave it out.",
    ),
)
"""Settings that only concern single weights, their values when off, and what to do."""

GROUPS: dict[str, type] = {
    "loading": LoadingConfig,
    "scoring": ScoringConfig,
    "training": TrainingConfig,
}


def check_sparsity(sparsity: float) -> float:
    """``sparsity`` itself if it lies in [0, 1); else ``ConfigError``."""
    if not isinstance(sparsity, Real) or not 0.0 <= sparsity < 1.0:
        hint, shown = "", sparsity if isinstance(sparsity, Real) else brief(sparsity)
        if isinstance(sparsity, Real) and 1 < sparsity < 100:
            fraction = fraction_number(to_fraction(float(sparsity)))
            hint = f" For {fraction_number(float(sparsity))}{SPACE}%, give {fraction}."
        raise ConfigError(
            f"The sparsity is {shown}; it is the fraction of weights removed, a number of at "
            f"least 0 and below 1.{hint}"
        )
    return float(sparsity)


def _build(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be an object of names and values.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    plain = {k: v for k, v in values.items() if k not in fields or "help" in fields[k].metadata}
    check_options(settings_of(cls), plain, where)
    built = {
        name: _build(GROUPS[name], value, f"the group {name!r}") if name in GROUPS else value
        for name, value in values.items()
        if name in fields
    }
    if not isinstance(built.get("options", {}), Mapping):
        raise ConfigError(f"the options in {where} must be an object of names and values.")
    return cls(**built)
