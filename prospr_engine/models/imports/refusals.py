"""Files of other programs that are not opened: why, and the lines that write a file that is."""

from __future__ import annotations

from dataclasses import dataclass

from prospr_engine.errors import ModelError
from prospr_engine.io.file_type import WORDS

SAVE = 'torch.save(model.state_dict(), "weights.pt")'
PROGRAM = (
    "Opening it would run a program that it contains, and that may do anything, so it was not "
    "opened."
)
ELSEWHERE = "It needs another program to be opened."
TRUSTED = "Where you trust it, these lines write"
WEIGHTS, NETWORK = f"{TRUSTED} its weights", f"{TRUSTED} it as ONNX"


@dataclass(frozen=True)
class Refusal:
    """Why a kind of file is not opened, and what to do: a sentence that ends where the lines of
    ``code`` begin. ``{file}`` is the name of the file in quotation marks."""

    why: str
    do: str
    code: str


KERAS = Refusal(
    f"{ELSEWHERE[:-1]}, and may contain one itself; it was not opened.",
    NETWORK,
    "import keras\n"
    "model = keras.models.load_model({file})\n"
    'model.export("model.onnx", format="onnx")',
)
PICKLE = Refusal(
    PROGRAM,
    "If it contains a PyTorch network, and where you trust it, these lines write its weights",
    f"import torch\nmodel = torch.load({{file}}, weights_only=False)\n{SAVE}",
)
REFUSALS = {
    "pickle": PICKLE,
    "zlib": PICKLE,
    "torchscript": Refusal(
        PROGRAM, WEIGHTS, f"import torch\nmodel = torch.jit.load({{file}})\n{SAVE}"
    ),
    "torch-package": Refusal(
        PROGRAM,
        WEIGHTS,
        "import torch.package\n"
        "package = torch.package.PackageImporter({file})\n"
        'model = package.load_pickle("model", "model.pkl")  # as it was called when saved\n'
        f"{SAVE}",
    ),
    "pt2": Refusal(
        PROGRAM,
        NETWORK,
        "import torch\n"
        "program = torch.export.load({file})\n"
        'torch.onnx.export(program, f="model.onnx", external_data=False)',
    ),
    "keras": KERAS,
    "hdf5": KERAS,
    "savedmodel": Refusal(
        ELSEWHERE,
        "These lines write it as ONNX, given its unpacked folder",
        "pip install tf2onnx\npython -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    ),
    "tflite": Refusal(
        ELSEWHERE,
        "These lines write it as ONNX",
        "pip install tf2onnx\npython -m tf2onnx.convert --tflite {file} --output model.onnx",
    ),
    "gguf": Refusal(
        "It holds a language model for llama.cpp, in which weights are rounded; networks here "
        "classify images.",
        "Of a PyTorch network for images, this line writes the weights",
        SAVE,
    ),
}
"""By kind of file: a key of ``WORDS``."""
PICKLED = Refusal(
    PROGRAM,
    WEIGHTS,
    f"import torch\nmodel = torch.load({{file}}, weights_only=False)\n{SAVE}",
)
"""For files that turn out to contain more than weights."""


def check_kind(kind: str, name: str) -> None:
    """Raise ``ModelError`` if files of that kind are refused; ``name`` is what the file is
    called."""
    if kind in REFUSALS:
        raise refused(REFUSALS[kind], f"{name} is {WORDS[kind]}", name)


def refused(refusal: Refusal, what: str, name: str) -> ModelError:
    """The error that says ``what`` a file is, why it is not opened, and what to do."""
    return ModelError(
        f"{what}. {refusal.why} {refusal.do}:", code=refusal.code.replace("{file}", repr(name))
    )
