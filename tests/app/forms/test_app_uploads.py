"""What visitors bring: theirs alone, checked whatever they say it is, and back after a refresh."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from app_fakes import new, words
from app_files import zipped
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from app.services import runs, uploads
from app.services import store as store_service
from prospr_engine.config import RunConfig
from prospr_engine.data.readers import FORMATS, FormatSpec
from prospr_engine.data.readers.tree import Tree
from prospr_engine.data.readers.zip import zip_tree
from prospr_engine.errors import ConfigError, EngineError, ModelError, ResourceError, StoreError
from prospr_engine.models.build import build
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store


def weights(classes=10, model="small_cnn", bias=0.0) -> bytes:
    state = build(model, (1, 8, 8), classes).state_dict()
    return save(state | {"6.bias": torch.full_like(state["6.bias"], bias)})


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


# The service


def test_an_upload_is_its_owners_alone(sandboxed: None, store: Store) -> None:
    images = uploads.add("alice", "images", "C:\\me\\Pets.zip", zipped())
    file = uploads.add("alice", "weights", "mine.safetensors", weights())
    assert (images.name, file.name) == ("Pets.zip", "mine.safetensors")
    assert [u.token for u in uploads.mine("alice", "images")] == [images.token]
    assert uploads.mine("bob", "images") == uploads.mine("bob", "weights") == []
    config = RunConfig(data=images.token, weights=file.token)
    assert runs.start(config, "alice").owner == "alice"
    for theirs in (RunConfig(data=images.token), RunConfig(weights=file.token)):
        with pytest.raises(ConfigError, match="not one of your uploads"):
            runs.start(theirs, "bob")
    for swapped in (RunConfig(data=file.token), RunConfig(weights=images.token)):
        with pytest.raises(ConfigError, match="not one of your uploads"):
            runs.start(swapped, "alice")
    with pytest.raises(ConfigError, match=r"Pets\.zip is not one of your uploads"):
        uploads.find("bob", images.token, "images")


def test_a_format_of_ones_own_is_taken_and_found_again(store: Store, tables) -> None:
    """One row in a test: the upload is checked, kept under its suffix, and found by its token."""

    @contextmanager
    def open_own(path: Path, name: str, uploaded: bool) -> Iterator[Tree]:
        assert uploaded
        with zip_tree(path, name) as tree:
            yield tree

    FORMATS.register(
        FormatSpec(
            "own", "Own", "Own.", open_own,
            noun="a box", kinds=("zip",), suffixes=(".box",), uploads=True,
        )
    )  # fmt: skip
    assert uploads.formats().endswith(" or a box")
    upload = uploads.add("alice", "images", "Pets.BOX", zipped())
    assert (upload.name, upload.path.suffix) == ("Pets.BOX", ".box")
    assert uploads.facts(uploads.find("alice", upload.token, "images").token).name == "Pets.BOX"
    assert uploads.add("alice", "images", "Pets", zipped(seed=7)).name == "Pets.zip"


def test_what_another_visitor_removes_stays_with_this_one(store: Store) -> None:
    content = zipped()  # once: a zip tells the time at which it was made
    for visitor in ("alice", "bob"):
        upload = uploads.add(visitor, "images", "Pets.zip", content)
    uploads.remove("bob", upload.token)
    assert uploads.mine("bob", "images") == []
    (kept,) = uploads.mine("alice", "images")
    assert kept.path.is_file()
    uploads.remove("alice", upload.token)
    assert not kept.path.exists()
    with pytest.raises(ConfigError, match="it was removed"):
        runs.start(RunConfig(data=upload.token), "alice")


def test_a_file_that_a_run_waits_for_stays(store: Store) -> None:
    upload = uploads.add("alice", "images", "цветы “x”.zip", zipped())
    run = runs.start(RunConfig(data=upload.token), "alice")
    with pytest.raises(StoreError, match="needs this file"):
        uploads.remove("alice", upload.token)
    runs.stop(run, "alice")
    uploads.remove("alice", upload.token)


@pytest.mark.parametrize(
    "named",
    ["/etc/passwd", "../x.zip", "upload:x", f"upload:{'0' * 64}/x.zip", "~/x.zip", "nonsense"],
)
def test_no_path_of_the_server_gets_into_a_run(store: Store, named: str) -> None:
    with pytest.raises(ConfigError):
        runs.start(RunConfig(data=named), "alice")
    with pytest.raises(ConfigError):
        runs.start(RunConfig(weights=named), "alice")
    assert store.runs() == []


def test_paths_only_where_whoever_runs_the_server_allows_them(store: Store, monkeypatch) -> None:
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    uploads.check_tokens(RunConfig(data="/data/x.zip", weights="/data/x.safetensors"), "alice")
    with pytest.raises(ConfigError, match="not one of your uploads"):
        uploads.check_tokens(RunConfig(data=f"upload:{'0' * 64}/x.zip"), "alice")


@pytest.mark.parametrize(
    ("kind", "content", "error", "words"),
    [
        ("images", b"", EngineError, "x.dat is empty"),
        ("images", b"<!doctype html>", EngineError, "is a web page, not a zip"),
        ("images", pickle.dumps(Trap()), EngineError, "is a pickle, not a zip"),
        ("images", b"PK\x03\x04" + b"\0" * 50, EngineError, "x.dat is not a zip file, or is damag"),
        ("images", zipped(extra=["../up.png"]), EngineError, "points outside the archive"),
        ("images", zipped(extra=["inner.zip"]), EngineError, "contains another archive"),
        ("images", zipped(["one"]), EngineError, "only the class 'one'"),
        ("images", zipped(count=1), EngineError, "Too few images"),
        ("weights", pickle.dumps(Trap()), ModelError, "x.dat is a pickle.*was not opened"),
        ("weights", zipped(), ModelError, "is a zip archive; weights are given as safet"),
        ("weights", weights()[:-5], ModelError, "x.dat is damaged"),
        ("weights", weights(bias=float("nan")), ModelError, "NaN or infinite.*in 6.bias"),
    ],
    ids=[
        "nothing",
        "web page",
        "pickle",
        "damaged zip",
        "path out of the zip",
        "zip in a zip",
        "one class",
        "one image",
        "pickled weights",
        "zip as weights",
        "cut-off weights",
        "NaN",
    ],
)
def test_what_is_no_good_is_not_kept(store: Store, kind, content, error, words) -> None:
    with pytest.raises(error, match=words) as output:
        uploads.add("alice", kind, "folder/x.dat", content)
    assert "/tmp" not in str(output.value)
    assert str(store.folder) not in str(output.value)
    assert uploads.mine("alice", kind) == []
    assert not list(store.uploads.folder.glob("*"))


def test_limits_of_size_and_number(tmp_path: Path, monkeypatch) -> None:
    size = len(zipped()) / 1e6
    limits = Limits(uploads_per_visitor=2, upload_megabytes=1.5 * size)
    monkeypatch.setattr(store_service, "current", lambda: Store(tmp_path, limits))
    with pytest.raises(ResourceError, match=r"big\.zip has 0\sMB, more than"):
        uploads.add("alice", "images", "big.zip", zipped(count=20))
    for seed in (1, 2, 2):
        uploads.add("alice", "images", f"{seed}.zip", zipped(seed=seed))
    with pytest.raises(ResourceError, match="delete one first"):
        uploads.add("alice", "images", "3.zip", zipped(seed=3))
    uploads.add("bob", "images", "3.zip", zipped(seed=3))


def test_limits_of_all_files_together(tmp_path: Path, monkeypatch) -> None:
    size = len(zipped()) / 1e6
    limits = Limits(upload_megabytes_per_visitor=1.5 * size, keep_gigabytes=2 * 2.5 * size / 1000)
    monkeypatch.setattr(store_service, "current", lambda: Store(tmp_path, limits))
    uploads.add("alice", "images", "1.zip", zipped(seed=1))
    uploads.add("alice", "images", "1.zip", zipped(seed=1))
    with pytest.raises(ResourceError, match="Remove one first"):
        uploads.add("alice", "images", "2.zip", zipped(seed=2))
    uploads.add("bob", "images", "2.zip", zipped(seed=2))
    with pytest.raises(ResourceError, match="no room left"):
        uploads.add("carol", "images", "3.zip", zipped(seed=3))


def test_a_full_disk(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(uploads, "SPARE", 1 << 60)
    with pytest.raises(ResourceError, match="no room left"):
        uploads.add("alice", "images", "Pets.zip", zipped())


def test_the_facts_of_a_token(store: Store) -> None:
    upload = uploads.add("alice", "images", "Pets.zip", zipped())
    assert uploads.facts(upload.token) == uploads.look(upload).facts
    uploads.remove("alice", upload.token)
    with pytest.raises(ConfigError, match="no longer available"):
        uploads.facts(upload.token)


def test_a_misfit_is_reported_before_the_run(store: Store) -> None:
    upload = uploads.add("alice", "weights", "mine.safetensors", weights(100))
    assert uploads.match(upload, "small_cnn", (1, 8, 8), 100) == ()
    (output,) = uploads.match(upload, "small_cnn", (1, 8, 8), 10)
    assert "for 100 classes and the data have 10: the classifier is new" in output
    with pytest.raises(ModelError, match="does not fit mlp"):
        uploads.match(upload, "mlp", (1, 8, 8), 10)
    assert uploads.contents(upload).tensors == 26


def pytorch_file(model="small_cnn", classes=10) -> bytes:
    stream = io.BytesIO()
    state = build(model, (1, 8, 8), classes).state_dict()
    torch.save({"model": state, "optimizer": {"state": {}}, "epoch": 3}, stream)
    return stream.getvalue()


def test_a_file_of_pytorch_is_kept_as_safetensors(sandboxed: None, store: Store) -> None:
    upload = uploads.add("alice", "weights", "best.pth", pytorch_file())
    assert (upload.name, upload.path.suffix) == ("best.pth.safetensors", ".safetensors")
    assert upload.path.read_bytes()[8:9] == b"{"
    found = uploads.contents(upload)
    assert (found.tensors, found.taken_from) == (26, "model")
    assert found.recognised_as == "These are weights of small_cnn with 10 classes"
    assert uploads.match(upload, "small_cnn", (1, 8, 8), 10) == ()
    again = uploads.add("alice", "weights", "best.pth", pytorch_file())
    assert again.token == upload.token
    assert [path.name for path in store.uploads.folder.glob("*")] == [upload.path.name]


# The components


def page() -> None:
    import streamlit as st

    from app.forms.uploads import choose_images, choose_weights

    st.text(f"images: {choose_images()}")
    st.text(f"weights: {choose_weights('small_cnn', (1, 8, 8), 10)}")


@pytest.fixture
def at(store: Store) -> AppTest:
    return tab()


def tab(visitor: str = "alice", **query: str) -> AppTest:
    at = AppTest.from_function(page, default_timeout=PATIENCE)
    at.session_state["visitor"] = visitor
    for name, value in query.items():
        at.query_params[name.replace("_", "-")] = value
    at.run()
    assert not at.exception
    return at


def output(at: AppTest) -> list[str]:
    return [text.value for text in at.text]


def drop(at: AppTest, place: int, name: str, content: bytes) -> None:
    at.file_uploader[place].upload(name, content).run()
    assert not at.exception


def test_nothing_is_chosen_at_first(at: AppTest) -> None:
    assert output(at) == ["images: None", "weights: None"]
    assert not at.error


def test_what_is_dropped_is_chosen_and_shown(at: AppTest) -> None:
    drop(at, 0, "Pets *1*.zip", zipped(extra=["cat/notes.txt"]))
    assert output(at)[0].endswith("/Pets _1_.zip")
    written = words(at)
    assert "20 grey images of 8 × 8 pixels in 2 classes." in written
    assert "1 file of other types (.txt)" in written
    (gallery,) = [h.proto.body for h in at.get("html") if "samples" in h.proto.body]
    assert gallery.count("<img ") == gallery.count('alt="cat, sample ') * 2 == 6
    assert at.file_uploader[0].value is None  # its bytes are not held any longer


def test_names_of_classes_are_not_taken_for_marks(at: AppTest) -> None:
    drop(at, 0, "x.zip", zipped(("<img src=x onerror=alert(1)>", 'a"b')))
    (gallery,) = [h.proto.body for h in at.get("html") if "samples" in h.proto.body]
    assert "<img src=x" not in gallery
    assert 'alt="a"b' not in gallery


def test_broken_images_are_reported_with_the_way_out(at: AppTest) -> None:
    drop(at, 0, "x.zip", zipped(extra=["cat/bad_one.png"]))
    (warning,) = at.warning
    assert "1 of 21 images checked cannot be read" in warning.value
    assert "The run skips them" in warning.value
    assert at.session_state["skip-broken"]  # the switch under Advanced
    # Whoever wants a run to fail on them can say so.
    at.session_state["skip-broken"] = False
    at.run()
    assert not at.session_state["skip-broken"]
    (warning,) = at.warning
    assert "A run fails on them" in warning.value
    assert "Skip broken images" in warning.value


def test_what_is_refused_says_why_until_something_better_comes(at: AppTest) -> None:
    drop(at, 1, "model.pt", pickle.dumps({"a": torch.ones(1)}))
    (error,) = at.error
    assert "is a pickle" in error.value
    assert "torch.load('model.pt', weights_only=False)" in at.code[0].value
    at.run()
    assert at.error
    drop(at, 1, "mine.safetensors", weights())
    assert not at.error
    assert output(at)[1].endswith("/mine.safetensors")
    assert "They match the model." in words(at)


def test_weights_that_do_not_fit_are_not_chosen(at: AppTest) -> None:
    drop(at, 1, "mine.safetensors", save({"a": torch.ones(3)}))
    assert output(at)[1] == "weights: None"
    assert "does not fit" in at.error[0].value


def test_a_new_classifier_is_said(at: AppTest) -> None:
    drop(at, 1, "best.pt", pytorch_file(classes=100))
    assert output(at)[1].endswith("/best.pt.safetensors")
    assert "These are weights of small\\_cnn with 100 classes." in words(at)
    assert "Taken from “model” in the file." in words(at)
    assert "the classifier is new" in at.info[0].value


def test_the_network_of_the_weights_is_offered(at: AppTest) -> None:
    drop(at, 1, "best.pt", pytorch_file("resnet20"))
    assert output(at)[1] == "weights: None"
    assert not at.error
    assert "weights of resnet20 with 10 classes" in at.warning[0].value
    at.button(key="use-recognised").click().run()
    assert at.session_state["model"] == "resnet20"


def test_the_choice_comes_back_with_the_address_but_only_to_its_owner(at: AppTest) -> None:
    drop(at, 0, "Pets.zip", zipped())
    drop(at, 0, "Other.zip", zipped(seed=1))
    drop(at, 1, "mine.safetensors", weights())
    for visitor, chosen in (("alice", True), ("bob", False)):
        again = tab(visitor, images="Pets.zip", weights_file="mine.safetensors")
        assert output(again)[0].endswith("/Pets.zip") == chosen
        assert output(again)[1].endswith("/mine.safetensors") == chosen
        assert (output(again)[0] == "images: None") != chosen


def test_the_link_to_a_file_stays_its_link(at: AppTest) -> None:
    drop(at, 0, "Pets.zip", zipped(seed=1))
    first, link = at.selectbox(key="images").value, at.query_params["images"]
    drop(at, 0, "Pets.zip", zipped(seed=2))
    second = at.selectbox(key="images").value
    assert first != second
    assert len(set(at.selectbox(key="images").options)) == 2
    assert output(tab("alice", images=link))[0] == f"images: {first}"
    assert output(tab("alice", images="Pets.zip"))[0] == f"images: {first}"
    at.button(key="remove-images").click().run()
    assert output(tab("alice", images=link))[0] == f"images: {first}"


def test_a_refused_file_leaves_the_one_before_it(at: AppTest) -> None:
    drop(at, 1, "mine.safetensors", weights())
    drop(at, 1, "model.pt", pickle.dumps({"a": torch.ones(1)}))
    assert "is a pickle" in at.error[0].value
    assert "mine.safetensors is still selected." in words(at)
    assert output(at)[1].endswith("/mine.safetensors")
    at.selectbox(key="weights-file").select(None).run()
    assert not at.error


def test_weights_that_do_not_fit_are_reported_once_on_the_form(store: Store) -> None:
    uploads.add("alice", "weights", "mine.safetensors", save({"a": torch.ones(3)}))
    page = new()
    page.query_params["weights"] = "Your own weights"
    page.query_params["weights-file"] = "mine.safetensors"
    page.run()
    (error,) = page.error
    assert "does not fit" in error.value


def test_removing(at: AppTest, store: Store) -> None:
    drop(at, 0, "Pets.zip", zipped())
    token = at.selectbox(key="images").value
    run = store.submit(RunConfig(data=token), "alice")
    at.button(key="remove-images").click().run()
    assert "needs this file" in at.error[0].value
    assert output(at)[0].endswith("/Pets.zip")
    store.stop(run.id, "alice")
    at.button(key="remove-images").click().run()
    assert not at.error
    assert output(at)[0] == "images: None"
    assert uploads.mine("alice", "images") == []
    assert not at.exception
