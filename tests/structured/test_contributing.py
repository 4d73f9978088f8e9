"""The structured loss of the contributing page: the page's own text, against the sum over all orders."""

from __future__ import annotations

import itertools
import pathlib
import re

import numpy as np
import pytest

import lossmith as lm
from lossmith.core import registry

PAGE = pathlib.Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def loss():
    text = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[1]
    try:
        exec(compile(text, "CONTRIBUTING.md", "exec"), {"__name__": __name__})
        yield lm.get("plackett_luce_example")
    finally:
        registry._classes.pop("plackett_luce_example", None)


def test_probabilities_of_all_orders_sum_to_1(way, loss):
    z = np.random.default_rng(0).normal(0, 3, 4)
    orders = np.array(list(itertools.permutations(range(4))))
    values = loss(orders, np.tile(z, (len(orders), 1)), reduction="none")
    assert np.exp(-values).sum() == pytest.approx(1.0, rel=1e-14)
    best = orders[values.argmin()]
    assert (np.diff(z[best]) < 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_and_weights(way, loss, dtype):
    rng = np.random.default_rng(1)
    z, order = rng.normal(0, 2, (5, 7)), rng.permuted(np.tile(np.arange(7), (5, 1)), axis=1)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    value, gradient = loss.value_and_gradient(order, z.astype(dtype), None, weight)
    assert value == loss(order, z.astype(dtype), weight)
    step = 1e-6 * rng.normal(size=z.shape)
    change = loss(order, z + step, weight) - loss(order, z - step, weight)
    assert (gradient * 2 * step).sum() == pytest.approx(change, rel=1e-5)
    assert (gradient[1] == 0.0).all()
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-6)


def test_numpy_and_kernel_agree(loss, monkeypatch):
    from lossmith.core import structured

    rng = np.random.default_rng(2)
    z, order = rng.normal(0, 30, (40, 50)), rng.permuted(np.tile(np.arange(50), (40, 1)), axis=1)
    found = []
    for least in (1, 2**62):
        monkeypatch.setattr(structured, "KERNEL_FROM", least)
        found.append(loss.value_and_gradient(order, z, reduction="none"))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_what_is_no_order_is_refused(way, loss):
    with pytest.raises(ValueError, match="must order the items 0 to 2"):
        loss([[0, 1, 1]], np.zeros((1, 3)))


def test_the_formula_is_what_the_host_computes(loss):
    rng = np.random.default_rng(3)
    z, order = rng.normal(0, 2, (5, 7)), rng.permuted(np.tile(np.arange(7), (5, 1)), axis=1)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    assert loss._by_formula((order,), z, weight, "mean") == pytest.approx(loss(order, z, weight), rel=1e-14)


def test_second_derivatives(loss):
    torch = pytest.importorskip("torch")
    order = torch.tensor([[2, 0, 1], [0, 1, 2]])
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda f: loss(order, f), z)


def test_without_a_formula_second_derivatives_are_refused(loss, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.delattr(type(loss), "_formula")
    z = torch.randn(1, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(torch.tensor([[2, 0, 1]]), z), z, create_graph=True)
    with pytest.raises(NotImplementedError, match="computes on the host only: no second derivatives"):
        slope.sum().backward()
