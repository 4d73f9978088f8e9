"""A remedy is tried against an equal budget without it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose import repairs  # noqa: E402
from lossmith.diagnose.doctor import Doctor, constant_error, error  # noqa: E402
from lossmith.diagnose.plan import Plan, train  # noqa: E402

nn = torch.nn


def squared(out, y):
    return (out - y) ** 2


def network(activation=nn.ReLU):
    return nn.Sequential(nn.Linear(4, 16), activation(), nn.Linear(16, 1), nn.Flatten(0))


def plan_of(**changes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 4)).astype(np.float32)
    y = (x @ np.array([1.0, -1.0, 0.5, 0.0]) + 0.1 * rng.normal(size=240)).astype(np.float32)
    base = {"build": network, "loss": squared, "train": (x[:160], y[:160]), "valid": (x[160:], y[160:]), "steps": 120}
    return Plan(**({"task": "regression"} | base | changes))


def idle(loop, x, y):
    return loop.loss(loop.model(x), y).detach()


def zeros(model):
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()


SICK = {
    "rate-by-trial": {"learning_rate": 1e-8},
    "reference-step": {"step": idle},
    "default-initialisation": {"prepare": (zeros,)},
    "gentle-schedule": {"schedule": lambda step: 0.2**step},
    "raw-output": {"build": lambda: nn.Sequential(*list(network())[:-1], nn.ReLU(), nn.Flatten(0))},
}


@pytest.mark.parametrize("remedy", SICK)
def test_the_remedy_helps(remedy):
    trial = Doctor(plan_of(**SICK[remedy])).try_remedy(remedy)
    assert trial.gain > 0.3
    assert trial.steps == 120


def test_a_remedy_for_nothing_gains_little():
    assert abs(Doctor(plan_of()).try_remedy("shuffle").gain) < 0.05


def test_the_first_remedy_that_can_be_tried_is_tried():
    doctor = Doctor(plan_of(step=idle))
    assert doctor.causes[0].id == "optimizer-not-stepping"
    assert doctor.try_remedy().remedy.id == "reference-step"


def test_what_cannot_be_tried_says_so():
    with pytest.raises(ValueError, match="by hand"):
        Doctor(plan_of()).try_remedy("one-pipeline")
    with pytest.raises(ValueError, match="no remedy 'prayer'"):
        Doctor(plan_of()).try_remedy("prayer")


def test_scaled_targets_are_read_back_in_their_unit():
    plan = plan_of()
    far = plan_of(train=(plan.train[0], 100 + 50 * plan.train[1]), valid=(plan.valid[0], 100 + 50 * plan.valid[1]))
    fixed = repairs.with_scaled_target(far)
    assert error(fixed, train(fixed).model, far.valid) < 0.3 * constant_error("regression", far.train[1], far.valid[1])


def test_leaks_and_doubts():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    told = np.hstack([x, (y + 0.01 * rng.normal(size=300))[:, None]]).astype(np.float32)
    plan = plan_of(train=(told, y), valid=(told[:50], y[:50]), task="binary")
    blanked = repairs.without_leaks(plan)
    assert not blanked.inputs(told)[:, 3].any()
    flipped = np.where(rng.random(300) < 0.25, 1 - y, y)
    cleaned = repairs.without_doubtful_rows(plan_of(train=(x, flipped), valid=(x[:50], y[:50]), task="binary"))
    kept = {row.tobytes(): label for row, label in zip(cleaned.train[0], cleaned.train[1], strict=True)}
    wrong = np.mean([kept[row.tobytes()] != label for row, label in zip(x, y, strict=True) if row.tobytes() in kept])
    assert wrong < 0.12
