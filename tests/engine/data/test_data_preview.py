from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data import look as looking
from prospr_engine.data import preview as module
from prospr_engine.data.load import load
from prospr_engine.data.preview import Preview, preview, preview_apart
from prospr_engine.errors import DataError, ResourceError


def look(path: str):
    return preview(Path(path), "Mine.zip")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_classes_counts_and_samples(zipped, classes) -> None:
    files = classes(prefix="train/") | classes(prefix="test/", count=4) | {"train/notes.txt": b"x"}
    found = look(zipped(files))
    assert (found.facts.name, found.facts.classes) == ("Mine.zip", ("cat", "dog"))
    assert found.counts == {"train": (10, 10), "test": (4, 4)}
    assert found.notes == found.facts.notes == ("Skipped: 1 file of other types (.txt).",)
    assert (found.looked_at, found.broken) == (28, ())
    assert {name: len(shown) for name, shown in found.samples.items()} == {"cat": 3, "dog": 3}


def test_a_process_of_its_own_finds_the_same(zipped, classes, picture) -> None:
    files = classes(prefix="train/") | classes(prefix="test/", count=4)
    files |= {"train/cat/broken.png": b"x", "train/cat/wide.png": picture(mode="L", size=(40, 20))}
    path = Path(zipped(files))
    apart = preview_apart(path, "Mine.zip")
    assert apart == preview(path, "Mine.zip")
    assert apart.broken
    assert apart.sizes.count == 2


def test_a_preview_survives_json(zipped, classes) -> None:
    found = look(zipped(classes(count=3)))
    assert Preview.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_process_of_its_own_refuses_with_the_same_sentence(tmp_path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(b"no zip")
    words = []
    for way in (preview, preview_apart):
        with pytest.raises(DataError) as refused:
            way(path, "Mine.zip")
        words.append(str(refused.value))
    assert words[0] == words[1]


def test_samples_show_the_pixels_of_their_class(zipped, picture) -> None:
    shades = {"black": 0, "grey": 128, "white": 255}
    files = {
        f"{name}/{number}.png": picture(mode="L", colour=shade)
        for name, shade in shades.items()
        for number in range(5)
    }
    found = look(zipped(files))
    for name, shown in found.samples.items():
        for png in shown:
            assert pixels(png).shape == (96, 96)
            assert (pixels(png) == shades[name]).all()


def test_small_images_are_enlarged_as_they_are(zipped, picture) -> None:
    files = {f"{name}/{n}.png": picture(n, size=(8, 8)) for name in "ab" for n in range(9)}
    found = look(zipped(files))
    shown = pixels(found.samples["a"][0])
    assert (shown[::12, ::12] == pixels(files["a/0.png"])).all()
    assert (shown[:12, :12] == shown[0, 0]).all()


def test_large_and_mixed_images_become_small_squares(zipped, picture) -> None:
    files = {f"{name}/{n}.jpg": picture(n, size=(300 + n, 200), format="JPEG")
             for name in "ab" for n in range(3)}  # fmt: skip
    assert pixels(look(zipped(files)).samples["a"][0]).shape == (96, 96, 3)


def test_only_so_many_classes_and_images_are_shown(zipped, picture) -> None:
    names = [f"class{number:02}" for number in range(30)]
    found = look(zipped({f"{name}/{n}.png": picture() for name in names for n in range(5)}))
    assert found.facts.class_count == len(found.counts["train"]) == 30
    assert list(found.samples) == names[:12]
    assert all(len(shown) == 3 for shown in found.samples.values())


def test_broken_images_are_named_and_do_not_hide_the_others(zipped, picture) -> None:
    files = {f"{name}/{n}.png": picture() for name in "ab" for n in range(9)}
    files |= {"a/0.png": b"junk", "b/3.png": b""}
    found = look(zipped(files))
    assert [text.split(" ")[0] for text in found.broken] == ["a/0.png", "b/3.png"]
    assert "not a supported image" in found.broken[0]
    assert {name: len(shown) for name, shown in found.samples.items()} == {"a": 2, "b": 2}


def test_an_image_bomb_is_not_decoded(zipped, picture, monkeypatch) -> None:
    bomb = io.BytesIO()
    Image.new("1", (3_900, 3_900)).save(bomb, "PNG")  # 2 kB, 15 million pixels
    files = {f"{name}/{n}.png": bomb.getvalue() for name in "ab" for n in range(10)}
    decoded = []
    monkeypatch.setattr(
        looking, "read_pixels", lambda *_: decoded.append(1) or np.zeros((1, 96, 96), np.uint8)
    )
    found = look(zipped(files))
    assert 0 < len(decoded) * 15.21e6 <= module.PIXELS
    assert "of 10 among 20 only the header was checked" in found.notes[-1]


def test_an_image_counts_as_readable_only_if_a_run_can_read_it(zipped) -> None:
    """A JPEG that is cut off has a good header."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", quality=95)
    whole = stream.getvalue()
    files = {f"{name}/{n}.jpg": whole for name in "ab" for n in range(9)}
    files["b/5.jpg"] = whole[: len(whole) // 2]
    path = zipped(files)
    found = look(path)
    assert [text.split(" ")[0] for text in found.broken] == ["b/5.jpg"]
    assert "truncated" in found.broken[0]
    loading = LoadingConfig(skip_broken=True)
    (skipped,) = [note for note in load(str(path), loading, 0).notes if "b/5.jpg" in note]
    assert "truncated" in skipped


def test_no_memory_is_a_sentence(zipped, classes, monkeypatch) -> None:
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(module, "arrange", fail)
    with pytest.raises(ResourceError, match="not enough memory to open"):
        look(zipped(classes()))


def test_what_cannot_be_used_is_refused_as_in_a_run(zipped, picture) -> None:
    with pytest.raises(DataError, match=r"Mine\.zip has no class folders"):
        look(zipped({"1.png": picture(), "2.png": picture()}))
    with pytest.raises(DataError, match="only the class 'a'"):
        look(zipped({"a/1.png": picture()}))


def test_the_preview_says_how_the_images_will_be_split(zipped, classes) -> None:
    (note,) = look(zipped(classes())).notes
    assert "no test part: 4 of 20 images" in note


def test_copies_among_the_test_images_are_counted(zipped, picture) -> None:
    own = {f"train/{c}/{n}.png": picture(100 * at + n, (32, 32)) for at, c in enumerate("ab")
           for n in range(20)}  # fmt: skip
    test = {f"test/{c}/{n}.png": picture(1000 + 100 * at + n, (32, 32))
            for at, c in enumerate("ab") for n in range(6)}  # fmt: skip
    assert look(zipped({**own, **test})).warnings == ()
    test |= {"test/a/copy.png": own["train/a/3.png"], "test/b/copy.png": own["train/b/4.png"]}
    brighter = (pixels(own["train/b/7.png"]).astype(int) + 9).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(brighter).save(stream, "PNG")
    test["test/b/again.png"] = stream.getvalue()
    (note,) = look(zipped({**own, **test})).warnings
    assert "2 of 15 test images have the same pixels and 1 of 13 test images compared" in note


def test_of_large_sets_some_images_are_searched_for_copies(zipped, picture, monkeypatch) -> None:
    monkeypatch.setattr(module, "COMPARED", 16)
    files = {f"{part}/{c}/{n}.png": picture(1) for part in ("train", "test") for c in "ab"
             for n in range(20)}  # fmt: skip
    first, _ = look(zipped(files)).warnings
    assert first.startswith("Of 12 images to train and 4 images to test: some test images")
    assert "4 of 4 test images have the same pixels" in first


def test_too_few_images_are_reported_at_once(zipped, picture) -> None:
    with pytest.raises(DataError, match="Too few images of 'b'"):
        look(zipped({"a/1.png": picture(), "a/2.png": picture(), "b/1.png": picture()}))


def test_cifar_as_a_person_would_upload_it(shared_cifar10: Path) -> None:
    found = preview(shared_cifar10, "cifar10.zip")
    assert found.counts["train"] == (5000,) * 10
    assert found.counts["test"] == (1000,) * 10
    assert (found.looked_at, found.broken) == (1000, ())
    assert sum(len(png) for shown in found.samples.values() for png in shown) < 400_000
