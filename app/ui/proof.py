"""The proof of an ONNX file in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from app.services import Check

MEANING = (
    # (the checks, what they mean together if all of them hold)
    (("file", "onnx"), "It is one complete file that any ONNX program can open."),
    (("zeros", "masks"), "The removed weights are zero."),
    (("logits", "sample"), "It gives the same answers as the trained network."),
    (("record", "graph", "weights"), "It was not changed since, and its metadata is correct."),
)


def explained(checks: Sequence[Check]) -> list[tuple[bool, str, str]]:
    """Whether it holds, the sentence, and the technical one behind it ("" if there is no other).

    What failed is told in its own words, and so is what has no plain ones.
    """
    by_name = {check.name: check for check in checks}
    lines = []
    for names, meaning in MEANING:
        found = [by_name.pop(name) for name in names if name in by_name]
        if found and all(check.ok for check in found):
            lines.append((True, meaning, " ".join(check.text for check in found)))
        else:
            lines += [(check.ok, check.text, "") for check in found]
    lines += [(check.ok, check.text, "") for check in by_name.values()]
    return sorted(lines, key=lambda line: line[0])
