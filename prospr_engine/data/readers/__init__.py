"""What one's own images may lie in: the one table ``FORMATS``.

A new format is one file here and one row: whatever loads, describes, previews or takes uploads
of images goes by the row. The table can be looked at without torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prospr_engine.errors import ConfigError
from prospr_engine.io.file_type import WORDS
from prospr_engine.registry import Registry, Spec

SUFFIX = re.compile(r"\.[a-z0-9]+")


@dataclass(frozen=True)
class FormatSpec(Spec):
    """A format of images on a disk. ``target`` is a context manager ``(path, name, uploaded)``:
    it opens what lies at ``path``, which sentences call ``name``, as a ``Tree`` of image files in
    class folders, or as a ``Source`` of pixels. ``uploaded``: a stranger sent it, so it has to be
    checked more strictly. Raises ``DataError`` with a sentence if it cannot be read.

    Raises ``ConfigError`` if nothing recognises the format.
    """

    noun: str
    """As it follows "this is not": "a zip"."""
    kinds: tuple[str, ...] = ()
    """What the first bytes of such a file say it is: of ``io.file_type.WORDS``."""
    folder: bool = False
    """It is a folder, not a file."""
    suffixes: tuple[str, ...] = ()
    """In small letters, how the names of such files end. Of several formats of one kind that one
    is chosen whose suffix a file has, or the first."""
    uploads: bool = False
    """Strangers may send such a file."""

    def __post_init__(self) -> None:
        if self.folder == bool(self.kinds) or not {*self.kinds} <= {*WORDS}:
            raise ConfigError(
                f"The data format {self.name!r} is not recognised by anything; set folder, or "
                "kinds to some of those in io.file_type.WORDS."
            )
        if self.uploads and not self.suffixes:
            raise ConfigError(
                f"The data format {self.name!r} may be uploaded; say how the names of its files "
                "end (suffixes)."
            )
        for suffix in self.suffixes:
            if not SUFFIX.fullmatch(suffix):
                raise ConfigError(
                    f"The data format {self.name!r} has the suffix {suffix!r}; give a dot and "
                    "small letters or digits, as .zip."
                )


FORMATS: Registry[FormatSpec] = Registry(
    "data format",
    (
        FormatSpec(
            name="folder",
            label="Folder",
            description="A folder with one folder of images for each class.",
            target="prospr_engine.data.readers.folder:open_folder",
            noun="a folder",
            folder=True,
        ),
        FormatSpec(
            name="zip",
            label="Zip",
            description="A zip with one folder of images for each class.",
            target="prospr_engine.data.readers.zip:open_zip",
            noun="a zip",
            kinds=("zip",),
            suffixes=(".zip",),
            uploads=True,
        ),
    ),
)
