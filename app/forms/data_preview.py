"""What a data set contains, before anything learns from it."""

from __future__ import annotations

import base64
import html

import streamlit as st

from app.services.uploads import Preview
from app.ui.findings import plain
from app.ui.format import listed
from app.ui.labels import label

LISTED = 4  # broken images, the last of which may say how many more there are
NARROW = 130  # pixels of a column: two fit on a phone
EXTREMES = 3  # classes named with the most and with the fewest images

GALLERY = """
<style>
ul.samples.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(148px, 1fr));
  gap: 12px 16px; margin: 0; padding: 0; list-style: none; }
.samples.samples li { margin: 0; min-width: 0; }
.samples div { display: flex; gap: 4px; }
.samples img { width: calc((100% - 8px) / 3); aspect-ratio: 1; border-radius: 4px;
  image-rendering: pixelated; }
.samples p { display: flex; gap: 0.5ch; margin: 4px 0 0; font-size: 0.875rem;
  white-space: nowrap; }
.samples b { overflow: hidden; text-overflow: ellipsis; }
</style>
"""


def show(found: Preview, skips: bool) -> None:
    """The number of images and classes, samples of each class, what looks wrong, and what was left
    out. ``skips``: a run leaves out broken images."""
    st.caption(_images(found))
    for warning in found.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    if found.broken:
        st.warning(_broken(found, skips), icon=":material/broken_image:")
    st.html(_gallery(found))
    classes = found.facts.classes
    if len(classes) > len(found.samples):
        st.caption(_extremes(found))
        with st.expander(f"All {len(classes):,} classes"):
            _show_classes(found)
    if found.notes:
        st.caption(plain(" ".join(found.notes)))


def _show_classes(found: Preview) -> None:
    """A row per class, with bars: 200 of them stay readable."""
    most = max(found.counts["train"])
    st.dataframe(
        {"Class": list(found.facts.classes)}
        | {f"{part.capitalize()} images": list(n) for part, n in found.counts.items()},
        hide_index=True,
        column_config={
            "Class": st.column_config.TextColumn(width=NARROW),
            "Train images": st.column_config.ProgressColumn(
                width=NARROW, format="localized", min_value=0, max_value=most
            ),
        },
    )


def _images(found: Preview) -> str:
    facts = found.facts
    colour = {1: "grey ", 3: "colour "}.get(facts.channels or 0, "")
    rest = [f", {sum(n):,} {part} images" for part, n in found.counts.items() if part != "train"]
    size, sizes = "", ""
    if found.sizes and found.sizes.count > 1:
        sizes = f" {found.sizes.described}"
    elif found.sizes:
        size = " of {} × {} pixels".format(*found.sizes.common)
    elif facts.image_size:
        size = f" of {facts.image_size} × {facts.image_size} pixels"
    text = f"{facts.train:,} {colour}images{size} in {facts.class_count:,} classes{''.join(rest)}."
    return text + sizes


def _extremes(found: Preview) -> str:
    """Of many classes, those with the most and with the fewest images."""
    ranked = sorted(
        zip(found.counts["train"], found.facts.classes, strict=True), key=lambda one: -one[0]
    )
    if ranked[0][0] == ranked[-1][0]:
        return f"The first {len(found.samples)} classes. All have {ranked[0][0]:,} images."
    first, last = (
        listed(f"{name} ({count:,})" for count, name in some)
        for some in (ranked[:EXTREMES], ranked[-EXTREMES:])
    )
    return plain(f"The first {len(found.samples)} classes. Most images: {first}; fewest: {last}.")


def _broken(found: Preview, skips: bool) -> str:
    named = listed(found.broken, LISTED)
    where = f"“{label('skip_broken')}” (Advanced, Data)"
    then = f"The run skips them: {where}." if skips else f"A run fails on them; or turn on {where}."
    return plain(
        f"{len(found.broken):,} of {found.looked_at:,} images checked cannot be read: "
        f"{named}. {then}"
    )


def _gallery(found: Preview) -> str:
    train = dict(zip(found.facts.classes, found.counts["train"], strict=True))
    items = []
    for name, samples in found.samples.items():
        shown = html.escape(name)
        pictures = "".join(
            f'<img alt="{shown}, sample {number}" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
            for number, png in enumerate(samples, 1)
        )
        caption = f"<b>{shown}</b><span>{train[name]:,}</span>"
        items.append(f'<li><div>{pictures}</div><p title="{shown}">{caption}</p></li>')
    return f'{GALLERY}<ul class="samples" aria-label="Samples of each class">{"".join(items)}</ul>'
