"""Terminal output of the command ``inspect``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prospr_engine.format import counted, listed

BAR = 30  # characters of the largest class's bar
MOST = 24  # classes in the table; of more, those with the most and the fewest images
BROKEN = 6  # broken images named


def print_preview(found: dict[str, Any]) -> None:
    """Counts, sizes, classes, and what was skipped or looks wrong."""
    from prospr_engine.data.preview import Sizes  # brings Pillow: not for every command

    console = Console(highlight=False)
    colour = {1: "grey ", 3: "colour "}.get(found["channels"], "")
    images = listed(
        f"{count:,} {part if part != 'train' else 'training'}"
        for part, count in found["images"].items()
    )
    console.print(
        f"[bold]{escape(found['name'])}[/bold]: {colour}images, {images}, in "
        f"{counted(found['class_count'], 'class', 'classes')}.",
        soft_wrap=True,
    )
    if found["sizes"]:
        console.print(Sizes(**found["sizes"]).described, soft_wrap=True)
    elif found["image_size"]:
        console.print(f"All images are {found['image_size']} × {found['image_size']} pixels.")
    if found["classes"]:
        console.print(_classes(found))
    for warning in found["warnings"]:
        console.print(f"[yellow]![/yellow] {escape(warning)}", soft_wrap=True)
    if broken := found["broken"]:
        console.print(
            f"[yellow]![/yellow] {len(broken):,} of {found['looked_at']:,} images checked cannot "
            f"be read: {escape(listed(broken, BROKEN))}.",
            soft_wrap=True,
        )
    for note in found["notes"]:
        console.print(f"· {escape(note)}", soft_wrap=True)


def _classes(found: dict[str, Any]) -> Table:
    rows = found["classes"]
    parts = [*found["images"]]
    shown: list[dict[str, Any] | None] = [*rows]
    if len(rows) > MOST:
        ranked = sorted(rows, key=lambda row: -row["train"])
        shown = [*ranked[: MOST // 2], None, *ranked[-MOST // 2 :]]
    table = Table(box=None, pad_edge=False)
    table.add_column("class", overflow="ellipsis", max_width=40)
    for part in parts:
        table.add_column(part, justify="right", no_wrap=True)
    table.add_column("")
    most = max(row["train"] for row in rows)
    for row in shown:
        if row is None:
            table.add_row(f"… {len(rows) - len(shown) + 1:,} more", *("" for _ in parts), "")
            continue
        bar = "█" * max(1, round(BAR * row["train"] / max(1, most)))
        table.add_row(escape(row["name"]), *(f"{row[part]:,}" for part in parts), bar)
    return table
