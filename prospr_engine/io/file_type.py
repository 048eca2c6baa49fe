"""What a file is, judged by its first bytes: a name proves nothing."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from prospr_engine.io.zip_contents import kind_of_zip

READ = 1024  # bytes from the start; a tar has its magic number at 257

WORDS = {
    "empty": "empty",
    "zip": "a zip archive",
    "torch": "a PyTorch file",
    "torchscript": "a TorchScript program",
    "torch-package": "a package of PyTorch code (torch.package)",
    "pt2": "a program exported by PyTorch (.pt2)",
    "pickle": "a pickle",
    "safetensors": "a safetensors file",
    "onnx": "an ONNX model",
    "hdf5": "an HDF5 file, as Keras writes it",
    "keras": "a Keras model (.keras)",
    "savedmodel": "a TensorFlow SavedModel",
    "tflite": "a TensorFlow Lite model",
    "numpy": "a NumPy array",
    "parquet": "a Parquet file",
    "gguf": "a GGUF model",
    "tar": "a tar archive",
    "gzip": "a gzip archive",
    "bzip2": "a bzip2 archive",
    "xz": "an xz archive",
    "zstandard": "a Zstandard archive",
    "zlib": "compressed data (zlib), as joblib writes it",
    "rar": "a RAR archive",
    "7z": "a 7-Zip archive",
    "image": "a single image",
    "pdf": "a PDF document",
    "program": "a program",
    "html": "a web page",
    "json": "JSON text",
    "text": "plain text",
    "unknown": "of an unknown type",
}
"""Every kind, worded to follow "the file is"."""

MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),  # an empty one
    (0, b"PK\x07\x08", "zip"),  # one volume of several
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\x93NUMPY", "numpy"),
    (0, b"PAR1", "parquet"),
    (0, b"GGUF", "gguf"),
    (4, b"TFL3", "tflite"),
    # torch.save before version 1.6: the magic number, pickled.
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstandard"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"\x89PNG\r\n", "image"),
    (0, b"GIF8", "image"),
    (8, b"WEBP", "image"),
    (0, b"II*\x00", "image"),
    (0, b"MM\x00*", "image"),
    (0, b"%PDF", "pdf"),
    (0, b"\x7fELF", "program"),
    (0, b"MZ", "program"),
)
PICKLE = re.compile(
    rb"\x80[\x02-\x05]"  # protocols 2 to 5
    rb"|\((?:dp|lp|i)\d*\n|c[\w.]+\n[\w.]+\n"  # protocol 0, which is text
    rb"|[}\]](?:q\x00|\.)"  # protocol 1
)
ONNX = re.compile(rb"\x08[\x01-\x1f](?:\x12|:)", re.DOTALL)  # ir_version, then producer or graph
ZLIB = re.compile(rb"x[\x01\x5e\x9c\xda]")
HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body)\b", re.I | re.DOTALL)
TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*", re.DOTALL)


def kind_of(file: BinaryIO) -> str:
    """One of ``WORDS`` for a file open at its start."""
    start = file.read(READ)
    if not start:
        return "empty"
    for offset, mark, kind in MARKS:
        if start.startswith(mark, offset):
            return _in_zip(file, start) if kind == "zip" else kind
    if _is_safetensors(start):
        return "safetensors"
    if PICKLE.match(start):
        return "pickle"
    if ONNX.match(start):
        return "onnx"
    if HTML.match(start):
        return "html"
    if TEXT.fullmatch(start):
        return "json" if start.lstrip()[:1] in (b"{", b"[") else "text"
    return "zlib" if ZLIB.match(start) else "unknown"


def _in_zip(file: BinaryIO, start: bytes) -> str:
    # An archive whose directory is damaged may still be known by its first file.
    return kind_of_zip(file) or ("torch" if _first_entry(start).endswith("data.pkl") else "zip")


def _first_entry(start: bytes) -> str:
    """The name of a zip's first file (APPNOTE 4.3.7); torch.save begins with its pickle."""
    if len(start) < 30:
        return ""
    (length,) = struct.unpack_from("<H", start, 26)
    return start[30 : 30 + length].decode("utf-8", "replace")


def _is_safetensors(start: bytes) -> bool:
    """The length of a JSON object and the object: https://huggingface.co/docs/safetensors"""
    length = int.from_bytes(start[:8], "little")
    return 2 <= length < 1 << 32 and start[8:9] == b"{"
