"""Calibration batches as others have them: what is read, and what gets a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import batch, seeded
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import prospr_engine as pe
from prospr_engine.errors import DataError

X, Y = batch((6,))
ONE_HOT = F.one_hot(Y, 3)


def mlp():
    return seeded(lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)))


class Old:
    """A sequence of the older protocol: no ``__iter__``."""

    def __getitem__(self, i):
        if i > 2:
            raise IndexError(i)
        return X, Y


class Records(Dataset):
    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return self.item(i)


def failing(error, after=0):
    for _ in range(after):
        yield X, Y
    raise error


def absent(i):
    raise KeyError(f"no image {i}")


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        (DataLoader(Records(lambda i: {"x": X[i], "y": Y[i]}), 4), r"mapping with 'x', 'y'"),
        (DataLoader(Records(lambda i: (X[i], Y[i], i)), 4), "3 parts"),
        (DataLoader(Records(absent), 4), "cannot be read: KeyError: 'no image 0'"),
        (failing(OSError(5, "disk gone")), "cannot be read: OSError.*disk gone"),
        (TensorDataset(X, Y), "DataLoader"),
        ([(X.numpy(), Y.numpy())], "ndarray.*from_numpy"),
        ([(X.to("meta"), Y)], "inputs.*meta device"),
        ([(X, Y.to("meta"))], "labels.*meta device"),
        ([(torch.nested.nested_tensor([X[0], X[1]], layout=torch.jagged), Y[:2])], "nested"),
        ([(X, Y.to(torch.complex64))], "complex64"),
        ([(X, ONE_HOT)], r"y\.argmax\(1\) makes"),
        ([(X, Y[:, None])], r"y\.flatten\(\) makes"),
        ([(X, Y > 0)], r"y\.long\(\) makes"),
        ([(X, ONE_HOT * torch.nan)], "negative or NaN"),
        ([(X, ONE_HOT - 0.5)], "negative or NaN"),
    ],
)
def test_other_batches_get_a_sentence(batches, says):
    with pytest.raises(DataError, match=says):
        pe.score(mlp(), batches, "snip")


def test_reading_stops_where_the_criterion_has_enough():
    given = failing(ValueError("never read"), after=4)
    found = pe.score(mlp(), given, "prospr", steps=3, lr=0.1)
    again = pe.score(mlp(), [(X, Y)], "prospr", steps=3, lr=0.1)
    assert all(torch.equal(found[name], again[name]) for name in again)
    # A criterion that learns nothing from data does not read any.
    pe.score(mlp(), failing(ValueError("never read")), "magnitude")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit()])
def test_interrupts_of_a_loader_pass_through(error):
    with pytest.raises(type(error)):
        pe.score(mlp(), failing(error), "snip")


@pytest.mark.parametrize(
    "batches",
    [Old(), [(X.to_sparse(), Y)], [(X, ONE_HOT.double())], [(X, ONE_HOT.double().to_sparse())],
     [[X, Y]], [(X, torch.from_numpy(np.asarray(Y, dtype=np.uint16)))]],
)  # fmt: skip
def test_other_forms_of_the_same_batch_give_the_same_scores(batches):
    model = mlp()
    found = pe.score(model, batches, "snip")
    loss = F.cross_entropy(model(X), Y)
    for name, parameter in model.named_parameters():
        if name in found:
            (slope,) = torch.autograd.grad(loss, parameter, retain_graph=True)
            assert torch.allclose(found[name], (parameter * slope).abs(), rtol=1e-9, atol=1e-12)


def test_a_single_logit_gets_a_remedy():
    model = seeded(lambda: nn.Linear(6, 1))
    with pytest.raises(DataError, match=r"single logit.*two if there are two"):
        pe.score(model, [(X, Y % 2)], "snip")
