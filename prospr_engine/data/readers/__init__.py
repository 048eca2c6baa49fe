"""The formats in which users can bring their own images: the table ``FORMATS``.

A new format is one file here and one row: loading, describing, previewing and uploading all
follow the row. Reading the table needs no torch.
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
    it opens the data at ``path``, called ``name`` in messages, as a ``Tree`` of image files in
    class folders, or as a ``Source`` of pixels. ``uploaded``: a visitor sent it, so it is checked
    more strictly. Raises ``DataError`` if it cannot be read.

    Raises ``ConfigError`` if the row does not say how to recognise the format.
    """

    noun: str
    """Worded to follow "this is not": "a zip"."""
    kinds: tuple[str, ...] = ()
    """Types of such a file by its first bytes: keys of ``io.file_type.WORDS``."""
    folder: bool = False
    """It is a folder, not a file."""
    holds: str = ""
    """Suffix of files that the folder has, in place of images; "" for any folder."""
    suffixes: tuple[str, ...] = ()
    """File name suffixes in lower case. Among several formats of the same type, the one with the
    file's suffix is chosen, or else the first."""
    uploads: bool = False
    """Visitors may upload such a file."""

    def __post_init__(self) -> None:
        if self.folder == bool(self.kinds) or not {*self.kinds} <= {*WORDS}:
            raise ConfigError(
                f"Nothing identifies the data format {self.name!r}; set folder, or set kinds to "
                "keys of io.file_type.WORDS."
            )
        if self.uploads and not self.suffixes:
            raise ConfigError(
                f"The data format {self.name!r} may be uploaded but has no suffixes; give some."
            )
        for suffix in self.suffixes:
            if not SUFFIX.fullmatch(suffix):
                raise ConfigError(
                    f"The data format {self.name!r} has the suffix {suffix!r}; give a dot and "
                    "lower-case letters or digits, such as .zip."
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
        FormatSpec(
            name="npz",
            label="NumPy",
            description="Arrays of images and labels, saved with np.savez.",
            target="prospr_engine.data.readers.npz:open_npz",
            noun="an npz",
            kinds=("zip",),
            suffixes=(".npz",),
            uploads=True,
        ),
        FormatSpec(
            name="parquet",
            label="Parquet",
            description="A Parquet file with columns image and label, as Hugging Face writes it.",
            target="prospr_engine.data.readers.parquet:open_parquet",
            noun="a Parquet file",
            kinds=("parquet",),
            suffixes=(".parquet",),
            uploads=True,
        ),
        FormatSpec(
            name="parquet-folder",
            label="Folder of Parquet files",
            description="A folder of such files, such as train-00000-of-00002.parquet.",
            target="prospr_engine.data.readers.parquet:open_parquet_folder",
            noun="a folder",
            folder=True,
            holds=".parquet",
        ),
    ),
)
