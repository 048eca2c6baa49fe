from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from prospr_engine.io.file_type import WORDS, kind_of


def written(write) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def zipped(names=("a/1.png",)) -> bytes:
    def write(stream):
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return written(write)


def tarred(stream, mode="w") -> None:
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("a/1.png"))


STATE = {"0.weight": torch.ones(2, 2)}
IMAGE = Image.new("RGB", (4, 4))
FILES = {
    "empty": [b""],
    "zip": [zipped(), zipped([])],
    "torch": [
        written(lambda s: torch.save(STATE, s)),
        written(lambda s: torch.save(STATE, s, _use_new_zipfile_serialization=False)),
    ],
    "torchscript": [zipped(["m/data/0", "m/data.pkl", "m/code/__torch__/a.py", "m/constants.pkl"])],
    "torch-package": [zipped(["p/model/model.pkl", "p/.data/extern_modules"])],
    "pt2": [
        zipped(["p/data/weights/weight_0", "p/models/model.json", "p/archive_format"]),
        zipped(["serialized_exported_program.json", "serialized_state_dict.pt"]),
    ],
    "keras": [zipped(["metadata.json", "config.json", "model.weights.h5"])],
    "savedmodel": [zipped(["m/saved_model.pb", "m/variables/variables.index"])],
    "tflite": [b"\x1c\0\0\0TFL3" + b"\0" * 40],
    "hdf5": [b"\x89HDF\r\n\x1a\n" + b"\0" * 40],
    "gguf": [b"GGUF\x03\0\0\0"],
    "zlib": [zlib.compress(bytes(range(256)), level) for level in (1, 3, 6, 9)],
    "pickle": [
        *(pickle.dumps({"a": [1]}, protocol) for protocol in range(6)),
        *(pickle.dumps(complex(1, 2), protocol) for protocol in range(6)),
        *(pickle.dumps([], protocol) for protocol in range(6)),
    ],
    "safetensors": [save(STATE), save({})],
    "numpy": [written(lambda s: np.save(s, np.ones(3)))],
    "tar": [written(tarred)],
    "gzip": [gzip.compress(b"x"), written(lambda s: tarred(s, "w:gz"))],
    "bzip2": [written(lambda s: tarred(s, "w:bz2"))],
    "xz": [written(lambda s: tarred(s, "w:xz"))],
    "rar": [b"Rar!\x1a\x07\x01\x00" + b"\0" * 40],
    "7z": [b"7z\xbc\xaf\x27\x1c" + b"\0" * 40],
    "image": [
        written(lambda s, format=format: IMAGE.save(s, format))
        for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")
    ],
    "pdf": [b"%PDF-1.7\n"],
    "program": [b"\x7fELF\x02", b"MZ\x90\0"],
    "html": [b"<!DOCTYPE html><p>404", b"\n<html>", b"<!-- x -->\n<HTML lang=en>"],
    "json": [json.dumps({"a": 1}).encode(), b"[1, 2]"],
    "text": [b"version https://git-lfs.github.com/spec/v1\n", "blümchen".encode(), b"c"],
    "unknown": [b"\0" * 100, b"\x01\x02\x03"],
}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        pytest.param(kind, content, id=f"{kind} {number}")
        for kind, all in FILES.items()
        for number, content in enumerate(all)
    ],
)
def test_files_are_known_by_their_content(kind: str, content: bytes) -> None:
    assert kind_of(io.BytesIO(content)) == kind
    assert WORDS[kind]


def test_onnx_models_are_known() -> None:
    from onnx import helper

    graph = helper.make_graph([], "g", [], [])
    plain = helper.make_model(graph)
    signed = helper.make_model(graph, producer_name="pytorch")
    for model in (plain, signed):
        assert kind_of(io.BytesIO(model.SerializeToString())) == "onnx"


@given(st.binary(max_size=2000))
@fuzzed(100)
def test_any_bytes_are_of_some_kind(content: bytes) -> None:
    assert kind_of(io.BytesIO(content)) in WORDS
