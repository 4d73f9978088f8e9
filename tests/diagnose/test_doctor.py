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


class Squash(nn.Module):
    """A sigmoid under a name of its own."""

    def forward(self, x):
        return 1.0 / (1.0 + torch.exp(-x))


class UnitLength(nn.Module):
    """Scores on the sphere: they cannot grow."""

    def forward(self, x):
        return x / x.norm(dim=1, keepdim=True)


class First(nn.Module):
    def forward(self, x):
        return x[:, 0]


def swapped(repair, *between, after=()):
    plan = plan_of(build=lambda: nn.Sequential(nn.Linear(4, 8), *between, nn.Linear(8, 2), *after))
    fixed = repair(plan)
    model = fixed.build()
    for change in fixed.prepare:
        change(model)
    leaves = [m for _, m in model.named_modules(remove_duplicate=False) if not list(m.children())]
    return [type(m).__name__ for m in leaves][1:]


SHARED = nn.Sigmoid()


@pytest.mark.parametrize(
    ("repair", "between", "after", "left"),
    [
        (repairs.rectified, [nn.Sigmoid()], [nn.Sigmoid()], ["ReLU", "Linear", "Sigmoid"]),
        (repairs.rectified, [Squash()], [nn.Softmax(1)], ["ReLU", "Linear", "Softmax"]),
        (repairs.rectified, [SHARED, nn.Linear(8, 8), SHARED], [], ["ReLU", "Linear", "ReLU", "Linear"]),
        (repairs.rectified, [nn.Softmax(1)], [], ["Softmax", "Linear"]),
        (repairs.rectified, [nn.Tanh(), nn.Dropout(0.5)], [], ["Tanh", "Dropout", "Linear"]),
        (repairs.leaky, [nn.ReLU()], [nn.ReLU()], ["LeakyReLU", "Linear", "ReLU"]),
        (repairs.leaky, [nn.Sequential(nn.ReLU(), Squash())], [], ["LeakyReLU", "Squash", "Linear"]),
        (repairs.leaky, [nn.Sequential(nn.Threshold(5.0, 0.0))], [], ["LeakyReLU", "Linear"]),
        (repairs.with_raw_output, [nn.Sigmoid()], [UnitLength()], ["Sigmoid", "Linear", "Identity"]),
        (repairs.with_raw_output, [nn.Tanh()], [nn.Softmax(1), First()], ["Tanh", "Linear", "Identity", "First"]),
        (repairs.with_raw_output, [nn.ReLU()], [nn.Flatten(0)], ["ReLU", "Linear", "Flatten"]),
        (repairs.leaky, [nn.BatchNorm1d(8, affine=False), nn.Identity()], [], ["BatchNorm1d", "Identity", "Linear"]),
    ],
)
def test_activations_between_layers_are_known_by_what_they_do(repair, between, after, left):
    assert swapped(repair, *between, after=after) == left


def test_layers_in_a_plain_list_are_made_known():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept, self.out = [nn.Linear(4, 8)], nn.Linear(8, 1)

        def forward(self, x):
            return self.out(torch.tanh(self.kept[0](x))).flatten()

    plan = repairs.unfrozen(plan_of(build=Hidden))
    model = plan.build()
    for change in plan.prepare:
        change(model)
    assert {id(p) for p in model.kept[0].parameters()} <= {id(p) for p in model.parameters()}


def test_rows_are_kept_where_one_column_holds_hardly_any_numbers():
    x, y = plan_of().train
    x = x.copy()
    x[:120, 1] = np.nan
    x[0, 2] = np.inf
    fixed = repairs.without_bad_rows(plan_of(train=(x, y)))
    assert len(fixed.train[0]) == len(x) - 1
    assert np.isfinite(fixed.inputs(fixed.train[0])).all()
    few = x.copy()
    few[:, 1] = np.nan_to_num(few[:, 1])
    few[:10, 1] = np.nan
    assert len(repairs.without_bad_rows(plan_of(train=(few, y))).train[0]) == len(x) - 10
