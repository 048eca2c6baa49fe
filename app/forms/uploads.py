"""Bringing one's own images and weights: upload, look, choose among earlier ones, remove."""

from __future__ import annotations

import base64
import html

import streamlit as st

from app import session
from app.services import EngineError, Upload, uploads
from app.services.uploads import Contents, Kind, Preview
from app.ui.findings import plain, show_error
from app.ui.format import listed
from app.ui.labels import label

KEYS: dict[Kind, str] = {"images": "images", "weights": "weights-file"}
"""Of the boxes that show what is chosen, and the parameters of the address that remember it."""
LISTED = 4  # broken images, the last of which may say how many more there are

IMAGES_HELP = (
    "One folder of images per class, with or without folders train and test above them. Any "
    "common image format; all are scaled to one size. Only you can use the file, and you can "
    "remove it."
)
WEIGHTS_HELP = (
    "From PyTorch: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors'). Names "
    "and shapes must match the chosen model. Pickles (.pt, .pth) are not opened: they can contain "
    "programs."
)
GALLERY = """
<style>
ul.samples.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(148px, 1fr));
  gap: 12px 16px; margin: 0; padding: 0; list-style: none; }
.samples.samples li { margin: 0; min-width: 0; }
.samples div { display: flex; gap: 4px; }
.samples img { width: calc((100% - 8px) / 3); aspect-ratio: 1; border-radius: 4px;
  image-rendering: pixelated; }
.samples p { margin: 4px 0 0; font-size: 0.875rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
</style>
"""


def choose_images() -> str | None:
    """Let the visitor bring a zip of class folders or choose an earlier one, and show what is in
    it. The token of what is chosen; None if nothing is, or if it cannot be used."""
    taken = uploads.formats()
    _take("images", f"{taken[0].upper()}{taken[1:]} of class folders", IMAGES_HELP)
    upload = _choose("images", "Your images")
    if upload is None:
        return None
    try:
        with st.spinner(f"Looking into {plain(upload.name)}"):
            found = uploads.look(upload)
    except EngineError as error:
        show_error(error)
        return None
    show_preview(found)
    return upload.token


def choose_weights(
    model: str, shape: tuple[int, int, int] | None = None, classes: int | None = None
) -> str | None:
    """Let the visitor bring weights for ``model`` or choose earlier ones. The token of what is
    chosen; None if nothing is, or if it cannot be used. Where the ``shape`` (C, H, W) and the
    ``classes`` of the images are known, weights that do not fit are refused here."""
    _take("weights", "A safetensors file", WEIGHTS_HELP)
    upload = _choose("weights", "Your weights")
    if upload is None:
        return None
    try:
        found = uploads.contents(upload)
        problem = None
        if shape and classes:
            with st.spinner(f"Comparing {plain(upload.name)} with the model"):
                problem = uploads.misfit(upload, model, shape, classes)
    except EngineError as error:
        show_error(error)
        return None
    if problem:
        show_error(problem)
        return None
    st.caption(_weights_in_words(found, fits=bool(shape and classes)))
    return upload.token


def remember(kind: Kind, token: str) -> None:
    """Let the box show that upload, if it is the visitor's, when it is drawn next."""
    st.session_state[KEYS[kind]] = token


def show_preview(found: Preview) -> None:
    """What is in the images: how many, of what, a few of each class, and what was left out."""
    st.caption(_images_in_words(found))
    if found.broken:
        st.warning(_broken_in_words(found), icon=":material/broken_image:")
    st.html(_gallery(found))
    classes = found.facts.classes
    if len(classes) > len(found.samples):
        with st.expander(f"All {len(classes)} classes"):
            st.dataframe(
                {"Class": list(classes)}
                | {f"{part.capitalize()} images": list(n) for part, n in found.counts.items()},
                hide_index=True,
            )
    if found.notes:
        st.caption(plain(" ".join(found.notes)))


def _take(kind: Kind, text: str, help: str) -> None:
    """The place to drop a file: checked and kept at once, or refused with the reason."""
    turn, problem = f"upload-{kind}-turn", f"upload-{kind}-problem"
    number = st.session_state.setdefault(turn, 0)
    # Any kind of file may be dropped: the server knows better than its name what it is, and can
    # say what to do.
    file = st.file_uploader(
        text, help=help, key=f"upload-{kind}-{number}", max_upload_size=uploads.most_megabytes()
    )
    if file is None:
        if problem in st.session_state:
            show_error(f"{st.session_state[problem]}{_still(kind)}")
        return
    try:
        with st.spinner(f"Looking into {plain(file.name)}"):
            upload = uploads.add(session.visitor(), kind, file.name, file.getbuffer())
    except EngineError as error:
        st.session_state[problem] = str(error)
    else:
        st.session_state.pop(problem, None)
        remember(kind, upload.token)
    # A new uploader in place of this one: the server forgets the bytes that this one holds.
    st.session_state[turn] = number + 1
    st.rerun()


def _still(kind: Kind) -> str:
    """That a refused file leaves the one before it chosen."""
    token = st.session_state.get(KEYS[kind])
    mine = uploads.mine(session.visitor(), kind)
    return next((f" Still chosen: {upload.name}." for upload in mine if upload.token == token), "")


def _choose(kind: Kind, text: str) -> Upload | None:
    mine = {upload.token: upload for upload in uploads.mine(session.visitor(), kind)}
    names = {token: _called(upload) for token, upload in mine.items()}
    if KEYS[kind] not in st.session_state:
        # An address may say the name alone: then it is the oldest file of that name. Streamlit
        # looks for the full one, finds none, and leaves this in place.
        asked = st.query_params.get(KEYS[kind])
        for upload in mine.values():
            if upload.name == asked:
                st.session_state[KEYS[kind]] = upload.token
    with st.container(horizontal=True, vertical_alignment="bottom"):
        token = st.selectbox(
            text,
            list(mine),
            index=None,
            format_func=lambda token: names.get(token, ""),
            placeholder="Choose one" if mine else "Nothing uploaded yet",
            # Drawn even without anything to choose: what is chosen for a box that was not there
            # before would not get into the address.
            key=KEYS[kind],
            bind="query-params",
            on_change=_settle,
            args=(kind,),
        )
        if token in mine:
            st.button(
                "Remove",
                icon=":material/delete:",
                help="Removes the file from the server. Finished runs keep their results.",
                key=f"remove-{kind}",
                on_click=_remove,
                args=(kind, token),
            )
    removal = st.session_state.pop(f"remove-{kind}-problem", None)
    if removal:
        show_error(removal)
    return mine.get(token) if token else None


def _settle(kind: Kind) -> None:
    """Another file is chosen: why one before it was refused is of no interest any more."""
    st.session_state.pop(f"upload-{kind}-problem", None)


def _remove(kind: Kind, token: str) -> None:
    try:
        uploads.remove(session.visitor(), token)
    except EngineError as error:
        st.session_state[f"remove-{kind}-problem"] = str(error)
    else:
        st.session_state[KEYS[kind]] = None


def _called(upload: Upload) -> str:
    """What an upload is called in the box and in the address: the same whatever else of its name
    is brought or removed, so that an address stays that of this file."""
    return f"{upload.name} ({upload.digest[:4]})"


def _images_in_words(found: Preview) -> str:
    facts = found.facts
    size = f" of {facts.image_size} × {facts.image_size} pixels" if facts.image_size else ""
    colour = {1: "grey ", 3: "colour "}.get(facts.channels or 0, "")
    rest = [f", {sum(n):,} for the {part}" for part, n in found.counts.items() if part != "train"]
    return f"{facts.train:,} {colour}images{size} in {facts.class_count} classes{''.join(rest)}."


def _broken_in_words(found: Preview) -> str:
    named = listed(found.broken, LISTED)
    return plain(
        f"Of {found.looked_at:,} images looked at, {len(found.broken):,} cannot be read: "
        f"{named}. A run stops at them unless “{label('skip_broken')}” is on (Advanced, Data)."
    )


def _weights_in_words(found: Contents, fits: bool) -> str:
    written = f" Written here for {plain(found.model)}." if found.model else ""
    unknown = " They are checked against the model when the run starts."
    fit = " They fit the model." if fits else unknown
    return f"{found.numbers:,} numbers in {found.tensors:,} tensors.{written}{fit}"


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
        items.append(
            f'<li><div>{pictures}</div><p title="{shown}"><b>{shown}</b> {train[name]:,}</p></li>'
        )
    return f'{GALLERY}<ul class="samples" aria-label="Samples of each class">{"".join(items)}</ul>'
