"""Tables of methods, models, data sets and the like, as frozen, plain data.

The form, the command line and ``list`` are generated from these rows, so a new method is one
file and one row. A row names its implementation as ``"module:function"`` and imports it on
first use, so reading a table is cheap. Users add rows of their own with ``register``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Generic, TypeVar

from prospr_engine.errors import ConfigError
from prospr_engine.format import brief, plain_number

LONGEST = 80  # characters of a name that are compared with known ones


@dataclass(frozen=True)
class Option:
    """One setting: its type follows from ``default``, its bounds or choices are checked."""

    name: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    label: str = ""
    optional: bool = False
    """``None`` is allowed, and means automatic."""
    value_type: type | None = None
    """Needed only where ``default`` is ``None``."""
    files: tuple[str, ...] = ()
    """The usual suffixes of files that may be given instead of a choice, first the one that is kept
    here. What a file is, is checked when it is opened."""
    table: str = ""
    """The noun of the table to choose from, where names are checked."""
    catalogue: str = ""
    """``"package.module:NAME"`` of the registry with the names that are not files, if there are
    ``files``."""
    role: str = ""
    """What the option decides, for code outside its criterion (``saliency.Role``)."""

    @property
    def known(self) -> tuple[Any, ...]:
        """The values that are not files."""
        return self.choices or (tuple(resolve(self.catalogue)) if self.catalogue else ())

    def names_file(self, value: Any) -> bool:
        """Whether ``value`` is the path or token of a file or folder."""
        if not self.files or not isinstance(value, str) or value in self.choices:
            return False
        return not (self.catalogue and resolve(self.catalogue).names(value))

    @property
    def kind(self) -> type:
        return self.value_type or type(self.default)

    def check(self, value: Any) -> Any:
        """Return ``value`` in the option's type, or raise ``ConfigError`` with a sentence."""
        if value is None and self.optional:
            return None
        value = self._convert(value)
        if self.choices and value not in self.choices and not self._may_be_file(value):
            also = f", or the path of a file ({', '.join(self.files)})" if self.files else ""
            raise ConfigError(
                f"{self.name} is {brief(value)}, but must be one of "
                f"{', '.join(map(str, self.choices))}"
                f"{also}{did_you_mean(str(value), [str(c) for c in self.choices])}."
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{self.name} is {value}; give a finite number.")
        if self.minimum is not None and value < self.minimum:
            raise ConfigError(
                f"{self.name} is {plain_number(value)}; give a number of at least "
                f"{plain_number(self.minimum)}."
            )
        if self.maximum is not None and value > self.maximum:
            raise ConfigError(
                f"{self.name} is {plain_number(value)}; give a number of at most "
                f"{plain_number(self.maximum)}."
            )
        return value

    def _may_be_file(self, value: Any) -> bool:
        return bool(self.files and isinstance(value, str) and PurePath(value).suffix)

    def _convert(self, value: Any) -> Any:
        kind = self.kind
        if kind is tuple:
            return self._names(value)
        if kind is bool:
            if isinstance(value, bool):
                return value
            if str(value).lower() in {"true", "yes", "on", "1"}:
                return True
            if str(value).lower() in {"false", "no", "off", "0"}:
                return False
            raise ConfigError(f"{self.name} is {brief(value)}; give true or false.")
        if isinstance(value, bool) and kind is not str:
            raise ConfigError(f"{self.name} is {value}; give a number.")
        try:
            if kind is int:
                whole = int(value)
                if isinstance(value, float) and whole != value:
                    raise ValueError
                return whole
            if kind is float:
                return float(value)
        except (TypeError, ValueError, OverflowError):
            noun = "whole number" if kind is int else "number"
            raise ConfigError(f"{self.name} is {brief(value)}; give a {noun}.") from None
        if not isinstance(value, kind):
            raise ConfigError(f"{self.name} is {brief(value)}; give text.")
        return value

    def _names(self, value: Any) -> tuple[str, ...]:
        """Names in a list, or in a text with commas between them; each once."""
        alone = isinstance(value, bytes | Mapping) or not isinstance(value, Iterable)
        names = value.split(",") if isinstance(value, str) else [] if alone else list(value)
        if alone or not all(isinstance(name, str) for name in names):
            example = ",".join(self.default)
            raise ConfigError(f"{self.name} is {brief(value)}; give names, as in {example}.")
        return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


@dataclass(frozen=True)
class Spec:
    """What every row of a table has."""

    name: str
    label: str
    description: str
    target: str | Callable[..., Any]
    """The implementation: a function, or ``"package.module:function"``, imported by ``load``."""

    def load(self) -> Callable[..., Any]:
        """The implementation, imported if the row names it."""
        target: Callable[..., Any] = resolve(self.target)
        return target


def resolve(target: str | Callable[..., Any]) -> Any:
    """``target`` itself, or what ``"package.module:name"`` names, imported."""
    if callable(target):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


S = TypeVar("S", bound=Spec)

NAME = re.compile(r"[a-z][a-z0-9_]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Registry(Mapping[str, S], Generic[S]):
    """A table of frozen specs by name; the error for an unknown name suggests the nearest one.

    ``reserved`` names have another meaning where a name of this table is expected.
    """

    def __init__(self, noun: str, specs: tuple[S, ...], reserved: tuple[str, ...] = ()):
        self.noun = noun
        self._row = type(specs[0])
        self._reserved = reserved
        self._specs = {spec.name: spec for spec in specs}
        self._editions: dict[int, tuple[S, str]] = {}

    def register(self, spec: S, *, replace: bool = False) -> S:
        """Add a row of your own, and return it: its name can then be used wherever the names of
        this table can, in Python, on the command line and in forms.

            pe.METHODS.register(MethodSpec("mine", "Mine", "What it does.", target=my_function))

        A row is known only in the process that registered it. Runs that a worker computes (on
        the dashboard, or with ``--store``) happen in new processes, which import the package
        afresh and know only its own rows: compute with a registered one in your own process, by
        ``pe.score``, ``pe.run`` and ``pe.sweep``. What travels between processes is the name.

        The version of this package identifies its code, but not yours. So what a registered row
        computed is shared between runs only until it is registered again, and a sweep that is
        started again repeats its runs.

        Raises ``ConfigError`` if the row is incomplete or of another table, or if the name is in
        use and ``replace`` is False.
        """
        self._check(spec)
        if spec.name in self._specs and not replace:
            raise ConfigError(
                f"There is a {self.noun} called {spec.name!r} already; choose another name, or "
                "give replace=True."
            )
        # A new dictionary: another thread may be iterating over this one.
        self._specs = {**self._specs, spec.name: spec}
        self._editions[id(spec)] = spec, uuid.uuid4().hex
        return spec

    def edition(self, name: str) -> str:
        """Changes when a row of that name is registered, and differs between processes; "" for the
        rows of this package, whose code its version identifies, and for unknown names."""
        _, edition = self._editions.get(id(self._specs.get(name)), (None, ""))
        return edition

    def _check(self, spec: S) -> None:
        if not isinstance(spec, self._row):
            raise ConfigError(f"{spec!r} is not a row of this table; give a {self._row.__name__}.")
        if not (isinstance(spec.name, str) and NAME.fullmatch(spec.name)):
            raise ConfigError(
                f"The {self.noun} is called {spec.name!r}; give a name of lower-case letters, "
                "digits and underscores that begins with a letter."
            )
        if spec.name in self._reserved:
            raise ConfigError(
                f"{spec.name!r} means that there is no {self.noun}; choose another name."
            )
        for what in ("label", "description"):
            if not (isinstance(getattr(spec, what), str) and getattr(spec, what).strip()):
                raise ConfigError(f"The {self.noun} {spec.name!r} has no {what}; give one.")
        named = isinstance(spec.target, str) and TARGET.fullmatch(spec.target)
        if not named and not callable(spec.target):
            raise ConfigError(
                f"The target of the {self.noun} {spec.name!r} is {spec.target!r}; give a function, "
                "or where it is, as 'package.module:function'."
            )
        seen: set[str] = set()
        for option in getattr(spec, "options", ()):
            if not isinstance(option, Option):
                raise ConfigError(
                    f"The {self.noun} {spec.name!r} has an option {option!r}; give an Option."
                )
            if option.name in seen:
                raise ConfigError(
                    f"The {self.noun} {spec.name!r} has two options called {option.name!r}."
                )
            seen.add(option.name)
            option.check(option.default)

    def __getitem__(self, name: str) -> S:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def names(self, text: str) -> bool:
        """Whether ``text``, where a file may be given too, is meant as the name of a row."""
        return text in self._specs

    def find(self, name: str) -> S:
        """The row called ``name``; raises ``ConfigError`` with a suggestion if there is none."""
        if callable(name):
            raise ConfigError(
                f"The {self.noun} is given as a function; add it to the table with register(), "
                "and give its name."
            )
        try:
            return self[name]
        except (KeyError, TypeError):
            raise ConfigError(
                f"There is no {self.noun} called {brief(name)}"
                f"{did_you_mean(str(name), list(self))}. "
                f"Known: {', '.join(self)}."
            ) from None


def setting(default: Any, help: str, **bounds: Any) -> Any:
    """A dataclass field that knows its help text and its bounds (those of ``Option``)."""
    return dataclasses.field(default=default, metadata={"help": help, "bounds": bounds})


def settings_of(group: type) -> tuple[Option, ...]:
    """The plain settings of a config class, as the options that forms and flags are made of."""
    return tuple(
        Option(f.name, f.default, f.metadata["help"], **f.metadata["bounds"])
        for f in dataclasses.fields(group)
        if "help" in f.metadata
    )


def check_options(options: tuple[Option, ...], given: Mapping[str, Any], owner: str) -> dict:
    """All of ``options`` with the values in ``given`` checked and the rest at their defaults."""
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(
                f"There is no option {brief(name)} in {owner}{did_you_mean(name, list(known))}. "
                f"Known: {listed}."
            )
    return {
        name: option.check(given[name]) if name in given else option.default
        for name, option in known.items()
    }


def did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:LONGEST].lower(), known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
