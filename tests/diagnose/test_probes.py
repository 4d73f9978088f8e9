"""Probes leave no trace, and their numbers move with what they measure."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose.plan import Loop, Plan, reference_step, train  # noqa: E402
from lossmith.diagnose.probes import PROBES, TorchPatient, examine  # noqa: E402

nn = torch.nn


def squared(out, y):
    return (out - y) ** 2


def network(activation=nn.ReLU, depth=1):
    layers, size = [], 5
    for _ in range(depth):
        layers += [nn.Linear(size, 8), nn.BatchNorm1d(8), activation(), nn.Dropout(0.2)]
        size = 8
    return nn.Sequential(*layers, nn.Linear(size, 1), nn.Flatten(0))


def plan_of(**changes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 5)).astype(np.float32)
    y = (x @ np.array([1.0, -1.0, 0.5, 0.0, 0.0]) + 0.1 * rng.normal(size=160)).astype(np.float32)
    base = {"build": network, "loss": squared, "train": (x[:100], y[:100]), "valid": (x[100:], y[100:]), "steps": 30}
    return Plan(**({"task": "regression"} | base | changes))


def state_of(loop: Loop):
    return (
        {k: v.clone() for k, v in loop.model.state_dict().items()},
        copy.deepcopy(loop.optimizer.state_dict()),
        [None if p.grad is None else p.grad.clone() for p in loop.model.parameters()],
        [p.requires_grad for p in loop.model.parameters()],
        [m.training for m in loop.model.modules()],
        torch.random.get_rng_state(),
    )


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_leaves_no_trace(name):
    plan = plan_of()
    loop = train(plan)
    loop.model[0].weight.requires_grad_(False)
    loop.model[1].eval()
    before = state_of(loop)
    found = examine(TorchPatient.of(plan, loop), only=(name,))
    assert found
    assert same(state_of(loop), before)


def test_the_comparison_of_states_sees_a_change():
    plan = plan_of()
    loop = train(plan)
    before = state_of(loop)
    reference_step(loop, *plan.arrays(plan.train))
    assert not same(state_of(loop), before)


def test_all_numbers_are_finite():
    plan = plan_of()
    found = examine(TorchPatient.of(plan, train(plan)))
    assert len(found) > 80
    assert all(map(math.isfinite, found.values()))


def test_parameters_of_nan_are_survived():
    plan = plan_of()
    loop = train(plan)
    with torch.no_grad():
        loop.model[0].weight.fill_(float("nan"))
    found = examine(TorchPatient.of(plan, loop))
    assert found["finite_parameters"] == 0.0
    assert "neighbours_train" in found
    assert found["accumulates"] == pytest.approx(0.0, abs=1e-5)  # asked of a new start


@pytest.mark.parametrize("where", ["outputs", "inputs", "targets"])
def test_numbers_that_are_not_finite_do_not_reach_lapack(where, capfd):
    plan = plan_of()
    x, y = (a.copy() for a in plan.train)
    if where != "outputs":
        (x if where == "inputs" else y)[3] = np.inf
    sizes = np.arange(100) % 3 // 2
    for changes in ({}, {"task": "binary", "loss": entropy, "valid": (plan.valid[0], sizes[:60]), "train": (x, sizes)}):
        own = plan_of(**({"train": (x, y)} | changes))
        loop = own.start()
        if where == "outputs":
            with torch.no_grad():
                loop.model[0].weight.fill_(float("nan"))
        assert examine(TorchPatient.of(own, loop), only=("scale", "split", "loss_shape", "outputs_fit"))
    assert "illegal value" not in "".join(capfd.readouterr())


def entropy(out, y):
    return nn.functional.binary_cross_entropy_with_logits(out, y.float(), reduction="none")


def idle(loop, x, y):
    losses = loop.loss(loop.model(x), y)
    loop.optimizer.zero_grad()
    losses.mean().backward()
    return losses.detach()


def hoarding(loop, x, y):
    losses = loop.loss(loop.model(x), y)
    losses.mean().backward()
    loop.optimizer.step()
    return losses.detach()


def one_sided(out, y):
    return torch.where(out > y, 4.0, 1.0) * (out - y).abs()


def heavy(parameters, lr, weight_decay):
    return torch.optim.SGD(parameters, lr=lr * 0.01, momentum=0.99)


def number(name, probe, **changes):
    plan = plan_of(**changes)
    return examine(TorchPatient.of(plan, train(plan)), only=(probe,))[name]


def zeros(model):
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()


@pytest.mark.parametrize(
    ("name", "probe", "sick", "low", "high"),
    [
        ("moved", "movement", {"step": idle}, -12.5, -11.5),
        ("accumulates", "movement", {"step": hoarding}, 0.9, 1.1),
        ("twin_units", "symmetry", {"prepare": (zeros,)}, 0.99, 1.01),
        ("step_excess", "line_search", {"learning_rate": 1e-9}, -12.0, -6.0),
        ("squashing_layers", "activity", {"build": lambda: network(nn.Sigmoid, 3)}, 3.0, 3.0),
        ("loss_cosine", "loss_shape", {"loss": lambda out, y: -((out - y) ** 2)}, -1.01, -0.99),
        ("loss_asymmetry", "loss_shape", {"loss": one_sided}, 0.59, 0.61),
        ("memory", "movement", {"optimizer": heavy}, 1.99, 2.01),
        ("batch_size", "order", {"batch_size": 4}, 2.0, 2.0),
    ],
)
def test_a_number_tells_sick_from_sound(name, probe, sick, low, high):
    assert low <= number(name, probe, **sick) <= high
    assert not low <= number(name, probe) <= high


def test_data_probes():
    plan = plan_of()
    x, y = plan.train
    leaking = plan_of(
        train=(np.hstack([x, y[:, None]]), y), build=lambda: nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))
    )
    held_x, held_y = plan.valid
    leaking = Plan(**{**vars(leaking), "valid": (np.hstack([held_x, held_y[:, None]]), held_y)})
    assert examine(TorchPatient.of(leaking, leaking.start()), only=("split",))["top_column_lead"] > 0.3
    assert number("top_column_lead", "split") < 0.3
    assert number("seen_before", "split", valid=plan.train) == 1.0
    assert number("seen_before", "split") == 0.0
    noisy = number("neighbours_doubt", "neighbours", train=(x, np.random.default_rng(1).permutation(y)))
    assert noisy > number("neighbours_doubt", "neighbours") + 0.3


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_columns_made_from_the_target_are_told_from_measured_ones(task):
    rng = np.random.default_rng(4)
    world = rng.normal(size=(300, 2))
    # Measured columns say what the world is, and share more than the target; two are the target and noise.
    x = world @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(300, 6))
    y = world[:, 0] + 0.5 * rng.normal(size=300)
    y = y if task == "regression" else (y > 0).astype(float)
    told = (y - y.mean()) / y.std()
    leaks = np.hstack([x, told[:, None] + 0.3 * rng.normal(size=(300, 2))])

    def of(columns):
        x = columns.astype(np.float32)
        return number("told_column", "split", train=(x, y), valid=(x, y), steps=1, build=lambda: head(x.shape[1]))

    assert of(leaks) > 0.8
    assert of(x) == 0.0


def head(columns):
    return nn.Sequential(nn.Linear(columns, 1), nn.Flatten(0))


def test_a_gap_is_told_from_a_heavy_tail():
    plan = plan_of()
    x, y = plan.train
    apart = y.copy()
    apart[::30] = 12.0 * y.std()
    tail = np.random.default_rng(2).standard_t(3, len(y)).astype(np.float32)
    assert number("target_gap", "scale", train=(x, apart)) > 0.4
    assert number("target_gap", "scale", train=(x, tail)) < 0.2


def trapped(width=2):
    """XOR for a network so narrow that some starts end beside the solution."""
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32) * 2 - 1
    x = np.tile(corners, (40, 1))
    y = (x[:, 0] * x[:, 1]).astype(np.float32)

    def build():
        return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0))

    return plan_of(build=build, train=(x, y), valid=(x, y), steps=1)


def test_starts_end_apart_where_there_are_traps(monkeypatch):
    monkeypatch.setattr("lossmith.diagnose.probes.trials.SECONDS", np.inf)

    def numbers(plan):
        return examine(TorchPatient.of(plan, plan.start()), only=("starts",))

    traps, wide = numbers(trapped()), numbers(trapped(width=64))
    convex = numbers(plan_of(build=lambda: nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))))
    assert traps["starts"] == wide["starts"] == convex["starts"] == 6
    assert traps["starts_spread"] > 0.4
    assert max(wide["starts_spread"], convex["starts_spread"]) < 0.1
    assert traps["starts_own"] > 0


def test_starts_keep_to_their_time(monkeypatch):
    monkeypatch.setattr("lossmith.diagnose.probes.trials.SECONDS", 0.0)
    plan = plan_of()
    assert examine(TorchPatient.of(plan, plan.start()), only=("starts",))["starts"] == 3


def test_an_unknown_probe_is_named():
    plan = plan_of()
    with pytest.raises(ValueError, match="no probe 'tarot'"):
        examine(TorchPatient.of(plan, plan.start()), only=("tarot",))
