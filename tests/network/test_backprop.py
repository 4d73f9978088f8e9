"""Gradients of networks against torch's autograd in float64, over the catalogue; and what would go wrong."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import lossmith as lm
from catalogue import ELEMENTWISE, ROWS
from lossmith.network import SGD, Affine, Architecture, Network, NumpyLearner, Objective, Task
from lossmith.optimize import L1, L2, ElasticNet

torch = pytest.importorskip("torch")

Array = np.ndarray[Any, Any]
ROWS_HERE, FEATURES, BATCH = 12, 3, 16
ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "identity")
PENALTIES = (None, L1(0.03), L2(0.02), ElasticNet(0.05, 0.4))
IN_TORCH = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
    "exp": torch.exp,
    "softmax": lambda z: torch.softmax(z, 1),
}
LAST = {"probabilities": "sigmoid", "rate": "exp", "variance": "exp"}


def _last(loss: Any) -> str | None:
    """The last activation under which a loss gets what it takes; None where there is none."""
    inputs = getattr(loss, "inputs", "raw")
    if inputs == "log_probabilities" or loss.name == "nll":
        return None
    return "softmax" if inputs == "probabilities" and loss.tier == "row-wise" else LAST.get(inputs, "identity")


CASES = [case for case in (*ELEMENTWISE, *ROWS) if _last(case.loss)]


def _weights(kind: bool) -> Array | None:
    return np.arange(ROWS_HERE) % 4 * 0.5 if kind else None


def _learner(
    loss: Any,
    y: Array,
    outputs: int,
    activation: str = "tanh",
    penalty: Any = None,
    weight: Array | None = None,
    **more: Any,
) -> NumpyLearner:
    """A network 3-5-4-k on twelve rows in batches of sixteen, with outputs moved and scaled."""
    rng = np.random.default_rng(3)
    made = Architecture((FEATURES, 5, 4, outputs), activation, _last(loss) or "exp", more.pop("dropout", 0.0))
    theta = made.initial(rng)
    theta += 0.1 * rng.normal(size=theta.size)
    affine = Affine(np.full(outputs, 0.2), np.full(outputs, 1.5)) if made.last.name == "identity" else None
    task = Task(loss, rng.normal(size=(ROWS_HERE, FEATURES)), y, weight)
    objective = Objective(task, SGD(), penalty, None, BATCH, more.pop("unit", 1.0))
    return NumpyLearner(Network(made, theta, affine), objective, np.random.default_rng(0))


def _reference(learner: NumpyLearner, criterion: Any = None) -> tuple[Array, float]:
    """Autograd's gradient of the same objective, and the loss alone; the batch counts as 12/16 of a full one."""
    net, objective = learner.network(), learner.objective
    made, task = net.architecture, objective.task
    theta = torch.tensor(net.theta, requires_grad=True)
    h, here, there = torch.tensor(np.asarray(task.X)), 0, made.weight_count
    for i, (a, b) in enumerate(itertools.pairwise(made.sizes)):
        h = h @ theta[here : here + a * b].reshape(a, b) + theta[there : there + b]
        here, there = here + a * b, there + b
        h = IN_TORCH[(made.hidden if i < made.depth - 1 else made.last).name](h)
        if made.dropout and i < made.depth - 1:
            h = h * torch.tensor(learner._passes._masks[i][:ROWS_HERE])
    if net.affine is not None:
        h = torch.tensor(net.affine.centre) + torch.tensor(net.affine.scale) * h
    y = torch.tensor(task.y)
    h = h.reshape(y.shape) if task.loss.tier == "elementwise" else h
    weight = None if task.weight is None else torch.tensor(task.weight)
    value = (criterion or lm.to_torch(task.loss))(h, y, weight)
    w = theta[: made.weight_count]
    total = value / objective.unit
    if objective.penalty is not None:
        a, b = objective.penalty.parts
        total = total + a * w.abs().sum() + b * (w**2).sum()
    (total * ROWS_HERE / BATCH).backward()
    return theta.grad.numpy(), float(value.detach())


def _error(found: Array, right: Array) -> float:
    return float(np.abs(found - right).max() / np.abs(right).max())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.loss}")
def test_gradients_are_autograds(case: Any, activation: str) -> None:
    turn = CASES.index(case) + ACTIVATIONS.index(activation)
    y, f = case.draw(np.random.default_rng(turn), ROWS_HERE)
    y = 0.1 * y if case.loss.traits.robust == "redescending" else y  # within reach
    outputs = 1 if f.ndim == 1 else f.shape[1]
    for k, weighted in enumerate((False, True)):
        penalty = PENALTIES[(turn + k) % len(PENALTIES)]
        learner = _learner(case.loss, y, outputs, activation, penalty, _weights(weighted), unit=1.7)
        total, norm = learner.evaluate(np.arange(ROWS_HERE))
        right, value = _reference(learner)
        assert _error(learner.gradient, right) < 1e-12
        assert total / ROWS_HERE == pytest.approx(value, rel=1e-12)
        assert norm == pytest.approx(float(np.linalg.norm(right)), rel=1e-12)


def test_the_losses_are_torchs_own() -> None:
    """The same with torch's losses, so that not both sides lean on ours."""
    f = torch.nn.functional
    y = np.random.default_rng(0).normal(size=ROWS_HERE)
    rows = [
        (lm.MeanSquaredError(), y, 1, f.mse_loss),
        (lm.Huber(delta=0.7), y, 1, lambda p, t: f.huber_loss(p, t, delta=0.7)),
        (lm.BinaryCrossEntropy(), (y > 0) * 1.0, 1, f.binary_cross_entropy_with_logits),
        (lm.BinaryCrossEntropy(inputs="probabilities"), (y > 0) * 1.0, 1, f.binary_cross_entropy),
        (lm.CategoricalCrossEntropy(), np.digitize(y, [-0.5, 0.5]), 3, f.cross_entropy),
        (lm.GaussianNLL(full=False), y, 2, lambda p, t: f.gaussian_nll_loss(p[:, 0], t, p[:, 1].exp())),
        (lm.MultiMargin(), np.digitize(y, [-0.5, 0.5]), 3, f.multi_margin_loss),
        (lm.MeanSquaredError(), np.stack([y, y**2], 1), 2, f.mse_loss),
    ]
    for (loss, target, outputs, theirs), activation in itertools.product(rows, ACTIVATIONS):
        learner = _learner(loss, target, outputs, activation)
        learner.evaluate(np.arange(ROWS_HERE))
        right, _ = _reference(learner, lambda p, t, _, theirs=theirs: theirs(p, t))
        assert _error(learner.gradient, right) < 1e-10, (loss, activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_and_sparse_rows(activation: str) -> None:
    y = np.random.default_rng(0).normal(size=ROWS_HERE)
    learner = _learner(lm.Huber(), y, 1, activation, L2(0.1), _weights(True), dropout=0.4)
    learner.evaluate(np.arange(ROWS_HERE))
    found = learner.gradient.copy()
    assert _error(found, _reference(learner)[0]) < 1e-12
    assert any((mask[:ROWS_HERE] == 0).any() for mask in learner._passes._masks)
    plain = _learner(lm.Huber(), y, 1, activation)
    plain.evaluate(np.arange(ROWS_HERE))
    dense = plain.gradient.copy()
    task = plain.objective.task
    object.__setattr__(task, "X", csr_array(task.X))
    plain.evaluate(np.arange(ROWS_HERE))
    assert _error(plain.gradient, dense) < 1e-12


@pytest.mark.parametrize("loss", [lm.NegativeLogLikelihood("norm"), lm.WeightedSum(("mse", "log_cosh")), lm.NTXent()])
def test_gradients_are_differences(loss: Any) -> None:
    """Losses that torch cannot differentiate, or that compare rows, against differences of the value."""
    rng = np.random.default_rng(1)
    y = np.arange(ROWS_HERE) % 4 if loss.name == "nt_xent" else rng.normal(size=ROWS_HERE)
    outputs = 1 if loss.name == "weighted_sum" else 2
    learner, rows = _learner(loss, y, outputs), np.arange(ROWS_HERE)
    learner.evaluate(rows)
    found, theta, h = learner.gradient.copy(), learner.network().theta, 1e-5
    right = np.empty_like(theta)
    for i in range(theta.size):
        ends = []
        for side in (h, -h):
            learner._net.theta[i] = theta[i] + side
            ends.append(learner.evaluate(rows)[0] / BATCH)
        learner._net.theta[i] = theta[i]
        right[i] = (ends[0] - ends[1]) / (2 * h)
    assert _error(found, right) < 1e-6


def test_wrong_gradients_are_noticed() -> None:
    """Controls: a missing 1/n, a wrong scale, weights in another order, a penalised bias, a lost activation."""
    y = np.random.default_rng(0).normal(size=ROWS_HERE)
    learner = _learner(lm.Huber(), y, 1, "tanh", L2(0.1), _weights(True))
    learner.evaluate(np.arange(ROWS_HERE))
    right, _ = _reference(learner)
    assert _error(learner.gradient, right) < 1e-12
    wrong = {
        "no 1/n": _learner(lm.Huber(), y, 1, "tanh", L2(0.1), _weights(True), unit=1 / BATCH),
        "another unit": _learner(lm.Huber(), y, 1, "tanh", L2(0.1), _weights(True), unit=2.0),
        "weights in another order": _learner(lm.Huber(), y, 1, "tanh", L2(0.1), np.roll(_weights(True), 1)),
        "no weights": _learner(lm.Huber(), y, 1, "tanh", L2(0.1)),
        "half the penalty": _learner(lm.Huber(), y, 1, "tanh", L2(0.05), _weights(True)),
        "another activation": _learner(lm.Huber(), y, 1, "sigmoid", L2(0.1), _weights(True)),
    }
    for name, other in wrong.items():
        other.evaluate(np.arange(ROWS_HERE))
        assert _error(other.gradient, right) > 1e-4, name
    net = learner.network()
    biases = np.r_[np.zeros(net.architecture.weight_count), net.theta[net.architecture.weight_count :]]
    assert _error(right + 0.2 * biases, right) > 1e-4, "penalised biases"


def test_float32_follows_float64() -> None:
    y = np.random.default_rng(0).normal(size=ROWS_HERE)
    for activation in ACTIVATIONS:
        wide = _learner(lm.Huber(), y, 1, activation)
        net, task = wide.network(), wide.objective.task
        narrow = NumpyLearner(
            Network(net.architecture, net.theta.astype(np.float32), Affine(*(v.astype(np.float32) for v in (
                net.affine.centre, net.affine.scale)))),
            Objective(Task(task.loss, task.X.astype(np.float32), y), SGD(), None, None, BATCH),
            np.random.default_rng(0),
        )  # fmt: skip
        rows = np.arange(ROWS_HERE)
        wide.evaluate(rows)
        narrow.evaluate(rows)
        assert narrow.gradient.dtype == np.float32
        assert 1e-10 < _error(narrow.gradient, wide.gradient) < 1e-5


def test_epoch_gradients_add_up_to_that_of_the_mean_loss() -> None:
    """However rows fall into batches, the last one being smaller: each counts once."""
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(23, FEATURES)), rng.normal(size=23), rng.integers(0, 3, 23) * 1.0
    made = Architecture((FEATURES, 5, 1), "tanh")
    net, task = Network(made, made.initial(rng)), Task(lm.LogCosh(), X, y, weight)

    def summed(batch: int) -> Array:
        learner = NumpyLearner(net, Objective(task, SGD(), ElasticNet(0.1), None, batch), rng)
        total = np.zeros(made.count)
        for start in range(0, 23, batch):
            learner.evaluate(np.arange(start, min(start + batch, 23)))
            total += learner.gradient * batch / 23
        return total

    whole = summed(23)
    for batch in (4, 10, 22):
        assert _error(summed(batch), whole) < 1e-13
    plain = Task(lm.LogCosh(), X, y)
    assert math.isclose(task.mean_loss(net.scores(X)), float(lm.LogCosh()(y, net.scores(X)[:, 0], weight)))
    assert plain.mean_loss(net.scores(X)) != task.mean_loss(net.scores(X))
