"""Which normalisation a network gets, and that everything after it uses the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import prospr_engine as pe
from prospr_engine.config import LoadingConfig
from prospr_engine.data.load import load
from prospr_engine.data.normalisation import CHOICES, IMAGENET_MEAN, RANGES, statistics
from prospr_engine.models.collections import collection_of
from prospr_engine.pipeline.checkpoint import load_network
from prospr_engine.pipeline.given import Given, class_note, given_of
from prospr_engine.pipeline.normalisation import choose
from prospr_engine.pipeline.predict import load_pair
from prospr_engine.pipeline.rates import FINE_TUNING
from prospr_engine.pipeline.setup import make_recipe, prepare
from prospr_engine.registry import settings_of
from prospr_engine.report.model_card import code

FEW = LoadingConfig(train_limit=400, test_limit=100)


def config(**changes) -> pe.RunConfig:
    values = {"model": "mlp", "method": "magnitude", "epochs": 1, "loading": FEW, "device": "cpu"}
    return pe.RunConfig(**{**values, "sparsity": 0.5, **changes})


def scaled(name: str) -> LoadingConfig:
    return dataclasses.replace(FEW, normalisation=name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A dense network, trained on pixels normalised by their own mean and deviation."""
    out = tmp_path_factory.mktemp("trained")
    pe.run(config(epochs=3), out=out)
    return out


def test_the_setting_offers_what_there_is():
    (option,) = (o for o in settings_of(LoadingConfig) if o.name == "normalisation")
    assert option.choices == CHOICES
    assert option.default == "auto"


def taking(network: torch.nn.Module, data, name: str) -> torch.nn.Module:
    """The same network for pixels scaled in another way: W((p − m)/s) + b, written in these."""
    mean, std = statistics(name, 1, (data.mean, data.std))
    first = next(m for m in network.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        # (p − m)/s = (q·std + mean − m)/s for q = (p − mean)/std
        shift = first.weight.sum(1) * (mean[0] - data.mean[0]) / data.std[0]
        first.bias += shift
        first.weight *= std[0] / data.std[0]
    return network


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "auto"])
def test_given_weights_get_what_they_were_trained_with(trained, name):
    data = load("digits", FEW, 0)
    network = taking(load_network(trained / "dense.safetensors")[0], data, name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = choose(config(), data, network, Given(), torch.device("cpu"))
    assert found.name == name
    assert found.mean == pytest.approx(statistics(name, 1, (data.mean, data.std))[0])
    assert "gets most training images right" in found.note
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_what_cannot_be_found_out_is_said():
    data, fresh = load("digits", FEW, 0), prepare(config()).model
    for given in (Given(), Given(classifier=False)):
        found = choose(config(), data, fresh, given, torch.device("cpu"))
        assert found.name == "data"
        assert "is not known" in found.note
        library = dataclasses.replace(given, imagenet=True)
        assert choose(config(), data, fresh, library, torch.device("cpu")).name == "imagenet"


FIXED = ("imagenet", "unit", "centred", "bytes")


@pytest.fixture(scope="module", params=["data", *FIXED])
def convolutional(request, tmp_path_factory):
    """How a network with batch norm was trained, and the network with a classifier that is new."""
    out = tmp_path_factory.mktemp(request.param)
    lr = pe.TrainingConfig(lr=0.01)
    pe.run(config(model="small_cnn", loading=scaled(request.param), training=lr), out=out)
    network, _ = load_network(out / "dense.safetensors")
    last = [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]
    torch.nn.init.normal_(last.weight)
    return request.param, network


def test_batch_norm_remembers_how_pixels_were_scaled(convolutional):
    """Whatever the classifier is, and also by other images of the same kind."""
    name, network = convolutional
    state = {key: value.clone() for key, value in network.state_dict().items()}
    for seed in (0, 1):
        data = load("digits", FEW, seed)
        found = choose(config(), data, network, Given(classifier=False), torch.device("cpu"))
        assert found.name == name
        assert "batch norm remembers" in found.note
    assert network.training
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


def test_other_images_never_mislead(convolutional):
    """Negatives of the digits: bright where those of training were dark. Either the way the network
    was trained is found, or nothing."""
    name, network = convolutional
    data = load("digits", FEW, 0)
    images = 255 - data.train.images[:]
    mean, std = (images / 255).mean().item(), (images / 255).std().item()
    train = dataclasses.replace(data.train, images=images)
    other = dataclasses.replace(data, train=train, mean=(mean,), std=(std,))
    found = choose(config(), other, network, Given(classifier=False), torch.device("cpu"))
    assert found.name == name or "is not known" in found.note


def test_a_network_without_batch_norm_remembers_nothing(trained):
    network, _ = load_network(trained / "dense.safetensors")
    found = choose(config(), load("digits", FEW, 0), network, Given(classifier=False),
                   torch.device("cpu"))  # fmt: skip
    assert "is not known" in found.note


@pytest.mark.parametrize("name", ["torchvision/resnet18", "torchvision/inception_v3",
                                  "timm/resnet10t", "timm/vit_tiny_patch16_224"])  # fmt: skip
def test_libraries_say_how_their_weights_were_trained(name):
    """As their own transforms do, without reading any weights."""
    library = collection_of(name)
    assert library is not None
    published = library.adapter().published(name.partition("/")[2])
    half = name.startswith("timm/vit")
    assert published.mean == ((0.5,) * 3 if half else IMAGENET_MEAN)
    assert (published.classes, published.channels) == (1000, 3)
    given = Given(classifier=False, published=published)
    data = load("digits", FEW, 0)
    found = choose(config(), data, torch.nn.Identity(), given, torch.device("cpu"))
    grey = np.dot([0.299, 0.587, 0.114], published.mean)
    assert found.mean == pytest.approx((grey,))
    assert found.note == "Pixels are scaled as the published weights were trained."


def test_new_weights_keep_the_statistics_of_the_data():
    prepared = prepare(config())
    data = load("digits", FEW, 0)
    assert (prepared.data.mean, prepared.data.std) == (data.mean, data.std)
    assert prepared.notes == ()
    assert prepared.contents["data"] == data.digest


def test_a_file_of_ours_says_itself(trained):
    prepared = prepare(config(weights=str(trained / "dense.safetensors"), seed=3))
    _, label = load_network(trained / "dense.safetensors")
    assert list(prepared.data.mean) == label["preprocessing"]["mean"]
    assert prepared.normalisation == "file"
    assert "as the file of the weights says" in prepared.notes[0]


@pytest.mark.parametrize("name", ["unit", "bytes"])
def test_a_run_records_and_uses_the_chosen_one_everywhere(name, tmp_path):
    encodings = ("int8",)
    result = pe.run(
        config(loading=scaled(name), encodings=encodings, training=pe.TrainingConfig(lr=1e-4)),
        out=tmp_path,
    )
    mean, std = RANGES[name]
    record = result.record.data
    assert (record.normalisation, record.mean, record.std) == (name, (mean,), (std,))
    label = pe.verify(tmp_path / "model.onnx").provenance
    assert label["preprocessing"] == {"scale": 255, "mean": [mean], "std": [std]}
    assert load_network(tmp_path / "dense.safetensors")[1]["preprocessing"]["std"] == [std]
    assert load_pair({n: tmp_path / f"{n}.safetensors" for n in ("dense", "pruned")}).std == (std,)
    # The program of the model card classifies a test image as the run did.
    data = load("digits", FEW, 0)
    Image.fromarray(data.test.images[0, 0].numpy()).save(tmp_path / "image.png")
    text = code(result.record, "model.onnx")
    printed: list[str] = []
    names = {"__file__": str(tmp_path / "classify.py"), "print": printed.append}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["classify.py", str(tmp_path / "image.png")])
        exec(compile(text, "classify.py", "exec"), names)
    assert printed == [record.classes[result.predictions["pruned"][0]]]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    pixels = (data.test.images.numpy() / 255 - mean) / std
    answers = session.run(None, {session.get_inputs()[0].name: pixels.astype(np.float32)})[0]
    assert answers.argmax(1).tolist() == result.predictions["pruned"]


def test_runs_that_differ_in_it_share_nothing(tmp_path):
    from prospr_engine.pipeline.cache import Shared

    shared = Shared(tmp_path / "shared")
    made = config(method="random", training=pe.TrainingConfig(lr=1e-4))
    pe.run(made, out=tmp_path / "one", shared=shared)
    heard: list = []
    other = dataclasses.replace(made, loading=scaled("unit"))
    pe.run(other, heard.append, out=tmp_path / "two", shared=shared)
    words = " ".join(str(getattr(event, "text", "")) for event in heard)
    assert "of another run" not in words
    assert "reusing the dense one" not in words


def test_grey_images_get_the_grey_of_imagenet():
    mean, _ = statistics("imagenet", 1, ((0.5,), (0.5,)))
    grey = np.dot([0.299, 0.587, 0.114], IMAGENET_MEAN)
    assert mean == pytest.approx((grey,))
    assert statistics("imagenet", 3, ((0,) * 3, (1,) * 3))[0] == IMAGENET_MEAN


# Fine-tuning


def test_given_weights_are_fine_tuned_at_a_tenth_of_the_rate(trained):
    file = str(trained / "dense.safetensors")
    fresh, given = config(), config(weights=file)
    rates = [make_recipe(each, prepare(each)).lr for each in (fresh, given)]
    assert rates[1] == pytest.approx(rates[0] / 10)
    assert FINE_TUNING == 0.1
    own = config(weights=file, training=pe.TrainingConfig(lr=0.3))
    assert make_recipe(own, prepare(own)).lr == 0.3


def test_plain_weights_are_pruned_then_fine_tuned(trained, tmp_path):
    network, _ = load_network(trained / "dense.safetensors")
    save_file(network.state_dict(), tmp_path / "plain.safetensors")
    result = pe.run(config(weights=str(tmp_path / "plain.safetensors")), out=tmp_path / "out")
    data = load("digits", FEW, 0)
    x = (data.test.images.float() / 255 - result.record.data.mean[0]) / result.record.data.std[0]
    right = (network.eval()(x).argmax(1) == data.test.labels).double().mean().item()
    assert result.accuracy_at_pruning["dense"] == pytest.approx(right)
    assert result.record.data.normalisation == "data"
    assert (
        pe.Masks.load(tmp_path / "out" / "masks.safetensors").keys()
        == dict(pe.score(network, method="magnitude").masks(0.5)).keys()
    )


# Classes


def test_it_is_known_whether_the_classifier_came_with_the_weights(trained, tmp_path):
    file = str(trained / "dense.safetensors")
    data = load("digits", FEW, 0)
    network, _ = load_network(trained / "dense.safetensors")
    assert given_of(config(), network, data) is None
    given = given_of(config(weights=file), network, data)
    assert given is not None
    assert given.classifier
    assert given.label["classes"] == list(data.classes)
    state = network.state_dict()
    last = [*state][-2:]
    save_file({k: v for k, v in state.items() if k not in last}, tmp_path / "headless.safetensors")
    headless = given_of(config(weights=str(tmp_path / "headless.safetensors")), network, data)
    assert headless is not None
    assert not headless.classifier


def test_what_is_said_of_the_order_of_the_classes():
    classes = ("cat", "dog")
    assert class_note(Given({"classes": ["cat", "dog"]}), classes) == ""
    assert class_note(Given({}, classifier=False), classes) == ""
    assert "does not say which is which" in class_note(Given({}), classes)
    assert "in another order" in class_note(Given({"classes": ["dog", "cat"]}), classes)
    assert "has other classes" in class_note(Given({"classes": ["a", "b"]}), classes)
