"""Lossmith's own network under examination: the same fault has the same numbers as in torch."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.probes import PROBES, Course, NetworkPatient, TorchPatient, examine
from lossmith.diagnose.record import Facts, Record, Step
from lossmith.network.architecture import Architecture
from lossmith.network.optimizers import SGD, Adam
from lossmith.network.passes import Network


def data(task="regression", rows=160, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    score = x @ np.array([1.0, -1.0, 0.5, 0.0, 0.0]) + 0.1 * rng.normal(size=rows)
    y = {"regression": score, "binary": (score > 0) * 1.0, "multiclass": np.digitize(score, [-0.5, 0.5])}[task]
    return (x[:100], y[:100]), (x[100:], y[100:])


LOSSES = {"regression": lm.MeanSquaredError(), "binary": lm.get("bce"), "multiclass": lm.get("cross_entropy")}
OUTPUTS = {"regression": 1, "binary": 1, "multiclass": 3}


def ours(task="regression", hidden="relu", change=None, course=None, rate=0.05, depth=2, **kept):
    made = Architecture((5, *([8] * depth), OUTPUTS[task]), hidden)
    theta = made.initial(np.random.default_rng(1))
    if change is not None:
        change(theta)
    course = course or Course(SGD(), rate, move=kept.get("move"))
    return NetworkPatient(Network(made, theta), LOSSES[task], task, *data(task), training=course)


def in_torch(patient, rate=0.05, step=None):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    made = patient.network.architecture
    between = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[made.hidden.name]
    layers = []
    for a, b in zip(made.sizes, made.sizes[1:], strict=False):
        layers += [nn.Linear(a, b, dtype=torch.float64), between()]
    model = nn.Sequential(*layers[:-1], *([nn.Flatten(0)] if made.outputs == 1 else []))
    with torch.no_grad():
        for p, (_, place) in zip(model.parameters(), patient.pieces(), strict=True):
            p.copy_(torch.as_tensor(patient.vector()[place]).reshape(p.shape))
    functions = {
        "regression": lambda out, y: (out - y) ** 2,
        "binary": lambda out, y: nn.functional.binary_cross_entropy_with_logits(out, y, reduction="none"),
        "multiclass": lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"),
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    loss = functions[patient.task]
    own = None if step is None else (lambda x, y: step(model, optimizer, loss, x, y))
    return TorchPatient(model, loss, patient.task, patient.train, patient.valid, optimizer=optimizer, step=own)


def compared(first, second, only=()):
    """Numbers of both, without what depends on each library's own random initial weights."""
    only = only or tuple(name for name in PROBES if name not in ("initial_loss", "restarts", "starts", "reach"))
    found = [{k: v for k, v in examine(p, only).items() if not k.startswith("fresh_")} for p in (first, second)]
    assert found[0].keys() == found[1].keys()
    return found


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_sound_network_has_the_numbers_that_torch_has(task):
    patient = ours(task)
    a, b = compared(patient, in_torch(patient))
    assert len(a) > 55
    for name, value in a.items():
        assert value == pytest.approx(b[name], rel=2e-4, abs=2e-4), name


def dead(theta):
    theta[-9:-1] = -50.0  # no unit of the last hidden layer wakes


def idle(theta, gradient):
    pass


def idle_step(model, optimizer, loss, x, y):
    optimizer.zero_grad()
    loss(model(x), y).mean().backward()


def wrong_way(theta, gradient):
    theta += 0.05 * gradient


def wrong_way_step(model, optimizer, loss, x, y):
    import torch

    idle_step(model, optimizer, loss, x, y)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * p.grad


@pytest.mark.parametrize(
    ("probe", "name", "faulty", "step", "low", "high"),
    [
        ("movement", "moved", {"move": idle}, idle_step, -12.5, -11.5),
        ("line_search", "own_fall", {"move": wrong_way}, wrong_way_step, -100.0, -0.01),
        ("line_search", "step_excess", {"rate": 1e-9}, None, -12.0, -6.0),
        ("symmetry", "twin_units", {"change": lambda theta: theta.fill(0.0)}, None, 0.99, 1.01),
        ("activity", "dead_max", {"change": dead}, None, 0.99, 1.0),
        ("activity", "squashing_layers", {"hidden": "sigmoid", "depth": 3}, None, 3.0, 3.0),
        ("depth", "gradient_slope", {"hidden": "sigmoid", "depth": 4}, None, 0.25, 3.0),
    ],
)
def test_the_same_fault_has_the_same_number_as_in_torch(probe, name, faulty, step, low, high):
    patient = ours(**faulty)
    a, b = compared(patient, in_torch(patient, faulty.get("rate", 0.05), step), (probe,))
    assert low <= a[name] <= high
    assert not low <= examine(ours(), (probe,))[name] <= high
    assert a == pytest.approx(b, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_leaves_no_trace(name):
    patient = ours(course=Course(Adam(), 0.01))
    patient.stride(*patient.batches[0])

    def state():
        steps = {k: np.copy(v) for k, v in vars(patient._steps).items() if k != "settings"}
        return patient.network.theta.copy(), steps, patient._rng.bit_generator.state

    before = state()
    found = examine(patient, (name,))
    after = state()
    assert found
    np.testing.assert_equal(after, before)
    patient.stride(*patient.batches[0])
    assert not np.array_equal(patient.network.theta, before[0])


def test_a_step_is_the_one_that_training_takes():
    from lossmith.network.criterion import Task
    from lossmith.network.learner import NumpyLearner, Objective

    patient = ours(course=Course(Adam(), 0.01, clip_norm=0.5))
    x, y = patient.batches[0]
    learner = NumpyLearner(
        patient.network, Objective(Task(patient.loss, x, y), Adam(), None, 0.5, len(y)), np.random.default_rng(0)
    )
    for _ in range(3):
        learner.step(np.arange(len(y)), 0.01)
        stride = patient.stride(x, y)
    np.testing.assert_allclose(patient.network.theta, learner.network().theta, rtol=1e-12, atol=1e-14)
    assert np.linalg.norm(stride.gradient) <= 0.5 + 1e-12


@pytest.mark.parametrize("kind", ["regressor", "two classes", "three classes", "margins"])
def test_a_fitted_estimator_is_examined(kind):
    task = {"regressor": "regression", "three classes": "multiclass"}.get(kind, "binary")
    (x, y), (held_x, held_y) = data(task)
    if task != "regression":
        names = np.array(["ash", "elm", "oak"])
        y, held_y = names[y.astype(int)], names[held_y.astype(int)]
    settings = {"max_epochs": 20, "random_state": 0, "dropout": 0.1, "batch_size": 20}
    if task == "regression":
        model = lm.LossMLPRegressor("huber", (8,), **settings)
    else:
        model = lm.LossMLPClassifier("hinge" if kind == "margins" else "log_loss", (8,), **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # twenty epochs are few
        model.fit(x, y)
    before = model.network_.theta.copy()
    found = examine(NetworkPatient.of(model, (x, y), (held_x, held_y)))
    assert np.array_equal(model.network_.theta, before)
    assert len(found) > 70
    assert found["dropout"] == pytest.approx(0.1)
    assert found["moved"] > -6
    assert found["gradient_cosine"] > 0.9


def test_diagnose_takes_it():
    record = Record.of(Facts(task="regression"), [Step(i, loss=1.0, grad_norm=1.0) for i in range(80)])
    sick, sound = (lm.diagnose(record, model=patient) for patient in (ours(move=idle), ours()))
    assert "LM-FROZEN" in {s.id for s in sick.symptoms}
    assert "LM-FROZEN" not in {s.id for s in sound.symptoms}
    assert sick.causes


def test_losses_of_whole_batches_are_refused():
    made = Architecture((5, 8, 2))
    net = Network(made, made.initial(np.random.default_rng(0)))
    with pytest.raises(ValueError, match="no loss of each sample"):
        NetworkPatient(net, lm.get("triplet"), "multiclass", *data("multiclass"))


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras_models_have_the_same_numbers(backend):
    """A process knows one backend: each has its own."""
    for name in ("keras", backend):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    here, root = pathlib.Path(__file__).parent, pathlib.Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "src"), str(here)])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command.append(str(here / "keras_patient_laws.py"))
    ran = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
