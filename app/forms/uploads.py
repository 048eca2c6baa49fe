"""The visitor's own images and weights: upload, preview, select, remove."""

from __future__ import annotations

import streamlit as st

from app import session
from app.forms import data_preview
from app.forms.url_state import key
from app.services import EngineError, Upload, uploads
from app.services.uploads import Contents, Kind, NetworkFile, Preview
from app.ui.findings import plain, show_error

KEYS: dict[Kind, str] = {"images": "images", "weights": "weights-file", "network": "network-file"}
"""Keys of the boxes with the selected file, also in the address."""

SKIPPED = "broken-images-of"
"""In the session: the images for which skipping was turned on."""

IMAGES_HELP = (
    "Folders of images, one per class, also within folders train and test; or images with a table "
    "of file names and labels (CSV); or arrays of images and labels (.npz); or Parquet files with "
    "columns image and label. All images are scaled to one size."
)
PRIVATE = (
    "The file stays on this server. Only you can use it, and you can remove it; it is deleted when "
    "it has not been used for a while."
)
WEIGHTS_HELP = (
    "From PyTorch: torch.save(model.state_dict(), 'weights.pt'), or safetensors; also a checkpoint "
    "with an optimizer beside the weights. Which network they belong to is recognised. Files with "
    "whole networks or programs are not opened."
)
NETWORK_HELP = (
    "A classification network as ONNX: any tool can write it, PyTorch by "
    "torch.onnx.export(model, images, 'model.onnx', external_data=False, optimize=False). The "
    "pruned network comes back in your own graph, with your names."
)


def choose_images() -> str | None:
    """Let the visitor upload images or select an earlier upload, and show a preview. Returns its
    token, or None if nothing usable is selected."""
    formats = uploads.formats()
    text = f"{formats[0].upper()}{formats[1:]} of images with classes"
    _show_uploader("images", text, f"{IMAGES_HELP} {PRIVATE}")
    upload = _choose("images", "Your images")
    if upload is None:
        return None
    try:
        with st.spinner(f"Reading {plain(upload.name)}"):
            found = uploads.look(upload)
    except EngineError as error:
        show_error(error)
        return None
    show_images(found, upload.token)
    return upload.token


def show_images(found: Preview, named: str) -> None:
    """A preview of images. If some are broken, the run skips them, until the visitor says that it
    shall not."""
    setting = key("skip_broken", "loading")
    if found.broken and st.session_state.get(SKIPPED) != named:
        st.session_state[SKIPPED] = named
        st.session_state[setting] = True
    data_preview.show(found, bool(st.session_state.get(setting)))


def choose_weights(
    model: str, shape: tuple[int, int, int] | None = None, classes: int | None = None
) -> str | None:
    """Let the visitor upload weights for ``model`` or select an earlier upload. Returns its token,
    or None if nothing usable is selected. If the ``shape`` (C, H, W) and number of ``classes`` of
    the images are known, weights that do not match are rejected here."""
    _show_uploader("weights", "A PyTorch or safetensors file", f"{WEIGHTS_HELP} {PRIVATE}")
    upload = _choose("weights", "Your weights")
    if upload is None:
        return None
    try:
        found = uploads.contents(upload)
    except EngineError as error:
        show_error(error)
        return None
    try:
        notes: tuple[str, ...] = ()
        if shape and classes:
            with st.spinner(f"Comparing {plain(upload.name)} with the model"):
                notes = uploads.match(upload, model, shape, classes)
    except EngineError as error:
        if not _offer_model(found, model):
            show_error(error)
        return None
    st.caption(_describe_weights(found, fits=bool(shape and classes)))
    if notes:
        st.info(plain(" ".join(notes)), icon=":material/info:")
    return upload.token


def _offer_model(found: Contents, model: str) -> bool:
    """Offer to select the network that the weights belong to; False if it is not known, or the
    selected one."""
    names = [one.model for one in found.recognised]
    if not names or model in names:
        return False
    st.warning(plain(f"{found.recognised_as}, not of the selected model."), icon=":material/rule:")
    st.button(
        f"Use {names[0]}",
        icon=":material/check:",
        key="use-recognised",
        on_click=st.session_state.__setitem__,
        args=(key("model"), names[0]),
    )
    return True


def choose_network() -> str | None:
    """Let the visitor upload a network or select an earlier upload, and say what it is. Returns its
    token, or None if nothing usable is selected."""
    _show_uploader("network", "An ONNX file", f"{NETWORK_HELP} {PRIVATE}")
    upload = _choose("network", "Your network")
    if upload is None:
        return None
    try:
        with st.spinner(f"Reading {plain(upload.name)}"):
            found = uploads.network(upload)
    except EngineError as error:
        show_error(error)
        return None
    show_network(found)
    return upload.token


def show_network(found: NetworkFile) -> None:
    """What a network takes and answers, and what to know of it."""
    st.caption(_describe_network(found))
    if found.notes:
        st.info(plain(" ".join(found.notes)), icon=":material/info:")


def remember(kind: Kind, token: str) -> None:
    """Select that upload, if it is the visitor's, when the box is drawn next."""
    st.session_state[KEYS[kind]] = token


def _show_uploader(kind: Kind, text: str, help: str) -> None:
    """The file uploader: a file is checked and stored at once, or rejected with the reason."""
    turn, problem = f"upload-{kind}-turn", f"upload-{kind}-problem"
    number = st.session_state.setdefault(turn, 0)
    # Accepts files of any name: the server checks the content and can say what to do.
    file = st.file_uploader(
        text, help=help, key=f"upload-{kind}-{number}", max_upload_size=uploads.most_megabytes()
    )
    if file is None:
        if problem in st.session_state:
            show_error(st.session_state[problem])
            if still := _still_selected(kind):
                st.caption(plain(still))
        return
    try:
        with st.spinner(f"Reading {plain(file.name)}"):
            upload = uploads.add(session.visitor(), kind, file.name, file.getbuffer())
    except EngineError as error:
        st.session_state[problem] = error
    else:
        st.session_state.pop(problem, None)
        remember(kind, upload.token)
    # Replace the uploader, so that the server frees the bytes.
    st.session_state[turn] = number + 1
    st.rerun()


def _still_selected(kind: Kind) -> str:
    """After a rejected upload: which earlier file is still selected."""
    token = st.session_state.get(KEYS[kind])
    mine = uploads.mine(session.visitor(), kind)
    return next(
        (f"{upload.name} is still selected." for upload in mine if upload.token == token), ""
    )


def _choose(kind: Kind, text: str) -> Upload | None:
    mine = {upload.token: upload for upload in uploads.mine(session.visitor(), kind)}
    names = {token: _upload_label(upload) for token, upload in mine.items()}
    if KEYS[kind] not in st.session_state:
        # An address may have the bare name: then it is the oldest file of that name. Streamlit
        # finds no such label and keeps this value.
        name = st.query_params.get(KEYS[kind])
        for upload in mine.values():
            if upload.name == name:
                st.session_state[KEYS[kind]] = upload.token
    with st.container(horizontal=True, vertical_alignment="bottom"):
        token = st.selectbox(
            text,
            list(mine),
            index=None,
            format_func=lambda token: names.get(token, ""),
            placeholder="Select one" if mine else "Nothing uploaded yet",
            # Drawn even if empty: a selection made for a box that did not exist before would not
            # get into the address.
            key=KEYS[kind],
            bind="query-params",
            on_change=_clear_problem,
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


def _clear_problem(kind: Kind) -> None:
    """Another file is selected: forget why an earlier one was rejected."""
    st.session_state.pop(f"upload-{kind}-problem", None)


def _remove(kind: Kind, token: str) -> None:
    try:
        uploads.remove(session.visitor(), token)
    except EngineError as error:
        st.session_state[f"remove-{kind}-problem"] = str(error)
    else:
        st.session_state[KEYS[kind]] = None


def _upload_label(upload: Upload) -> str:
    """The label of an upload in the box and in the address. It does not depend on other uploads of
    the same name, so an address keeps pointing to this file."""
    return f"{upload.name} ({upload.digest[:4]})"


def _describe_weights(found: Contents, fits: bool) -> str:
    written = f" Saved here for {plain(found.model)}." if found.model else ""
    if found.recognised and not found.model:
        written = f" {plain(found.recognised_as)}."
    if found.taken_from:
        written += f" Taken from “{plain(found.taken_from)}” in the file."
    unknown = " The run checks whether they match the model."
    fit = " They match the model." if fits else unknown
    return f"{found.numbers:,} numbers in {found.tensors:,} tensors.{written}{fit}"


def _describe_network(found: NetworkFile) -> str:
    channels, height, width = found.shape
    colour = {1: "grey ", 3: "colour "}.get(channels or 0, "")
    size = f" of {width} × {height} pixels" if height and width else " of any size"
    return (
        f"{found.parameters:,} parameters, of which {found.weights:,} weights can be removed. It "
        f"takes {colour}images{size} and tells {found.classes:,} classes apart."
    )
