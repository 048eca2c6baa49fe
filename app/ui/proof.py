"""The proof of an ONNX file in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from app.services import Check

ZERO, GONE = "The removed weights are zero.", "The removed channels are not in the file."
MEANING = (
    # (the checks, what it means if all of them hold)
    (("file", "onnx"), "It is one complete file of standard ONNX operators."),
    (("zeros", "masks"), ZERO),
    (("logits", "sample"), "It gives the same answers as the trained network."),
    (
        ("record", "graph", "weights", "nodes"),
        "It has not been changed since, and its metadata is correct.",
    ),
)


def explained(checks: Sequence[Check], channels: bool = False) -> list[tuple[bool, str, str]]:
    """The proof of a file, of a network without ``channels`` or with zeros for the removed weights.
    For each line whether it holds, a sentence, and technical details ("" if none).

    Failed checks, and checks without a plain sentence, keep their own text.
    """
    by_name = {check.name: check for check in checks}
    lines = []
    for names, meaning in MEANING:
        found = [by_name.pop(name) for name in names if name in by_name]
        if found and all(check.ok for check in found):
            meaning = GONE if channels and meaning == ZERO else meaning
            lines.append((True, meaning, " ".join(check.text for check in found)))
        else:
            lines += [(check.ok, check.text, "") for check in found]
    lines += [(check.ok, check.text, "") for check in by_name.values()]
    return sorted(lines, key=lambda line: line[0])
