"""Numbers that tell causes apart by what a loss, a head, a batch and the rows do, each beside its negative control."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose.probes import TorchPatient, examine  # noqa: E402

nn, F = torch.nn, torch.nn.functional
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
Z = X[:, 0] + X[:, 1] * X[:, 2]
LOSSES = {
    "cross-entropy": lambda out, y: F.cross_entropy(out, y, reduction="none"),
    "twice": lambda out, y: F.cross_entropy(torch.softmax(out, 1), y, reduction="none"),
    "squares of codes": lambda out, y: ((out - F.one_hot(y, 3)) ** 2).mean(1),
    "no logarithm": lambda out, y: F.nll_loss(out, y, reduction="none"),
    "one class unheard": lambda out, y: F.cross_entropy(out, y, reduction="none") * (y > 0),
    "squares": lambda out, y: (out - y) ** 2,
    "beside": lambda out, y: (out - y - 2.0) ** 2,
}


def patient(loss="squares", end=nn.Identity, train=None, valid=None, batches=(), **more):
    torch.manual_seed(0)
    task = "regression" if loss in ("squares", "beside") else "multiclass"
    y = Z if task == "regression" else np.digitize(Z, [-0.5, 0.5])
    many = 1 if task == "regression" else 3
    last = [nn.Flatten(0)] if many == 1 else []
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, many), end(), *last)
    rows = train or (X[:200], y[:200]), valid or (X[200:], y[200:])
    return TorchPatient(model, LOSSES[loss], task, *rows, batches=batches, **more)


def ladder(loss):
    return examine(patient(loss), ("loss_shape",))


def test_the_right_loss_falls_all_the_way_and_others_do_not():
    right = ladder("cross-entropy")
    assert right["ladder_best"] == 20.0
    assert right["ladder_floor"] == -4.0
    assert right["ladder_top"] > 0.9
    assert ladder("twice")["ladder_floor"] > -0.6
    assert ladder("twice")["ladder_top"] < 0.3
    assert ladder("squares of codes")["ladder_best"] == 1.0
    assert ladder("no logarithm")["ladder_floor"] == -5.0  # below zero
    assert ladder("one class unheard")["ladder_uneven"] == -4.0
    assert abs(right["ladder_uneven"]) < 1e-9


def test_for_numbers_the_least_loss_lies_on_the_target():
    assert ladder("squares")["ladder_off"] == 0.0
    assert ladder("beside")["ladder_off"] == 1.0


@pytest.mark.parametrize("end", [nn.Sigmoid, nn.Softplus, nn.ReLU, nn.Tanh, nn.LogSigmoid])
def test_an_activation_on_the_output_shows_and_its_absence_too(end):
    assert examine(patient(end=end), ("outputs_fit",))["head_bend"] > -2.0
    assert examine(patient(), ("outputs_fit",))["head_bend"] < -5.0


def test_gradients_kept_in_one_tensor_are_seen():
    made = patient()
    optimizer = torch.optim.SGD(made.model.parameters(), lr=0.01)

    def step(x, y, kept):
        for p in kept:
            p.grad = None
        made.loss(made.model(x), y).mean().backward()
        optimizer.step()

    everything = list(made.model.parameters())
    for kept, wanted in ((everything, 0.0), (everything[2:], 1.0)):
        made.own_step = lambda x, y, kept=kept: step(x, y, kept)
        assert examine(made, ("movement",))["accumulates_somewhere"] == pytest.approx(wanted, abs=1e-4)


def test_skewed_draws_are_told_from_sorted_ones():
    y = np.where(Z > 1.2, 1, np.where(Z > 0.8, 2, 0))
    fair = [RNG.permutation(300)[:32] for _ in range(12)]
    common = [[*RNG.permutation(np.flatnonzero(y == 0))[:31].tolist(), int(np.flatnonzero(y)[0])] for _ in range(12)]
    lined = np.argsort(y, kind="stable").reshape(-1, 25)
    found = {
        name: examine(patient("twice", train=(X, y), batches=[(X[k], y[k]) for k in rows]), ("order",))
        for name, rows in {"fair": fair, "common": common, "lined": lined}.items()
    }
    assert abs(found["fair"]["drawn_slope"]) < 0.3 < 0.9 < found["common"]["drawn_slope"]
    assert found["common"]["batch_mixed"] > 0.8 > found["lined"]["batch_mixed"]


def test_rows_that_were_put_in_lie_apart_and_heavy_tails_do_not():
    spoiled, heavy = X[:200].copy(), np.exp(2.0 * X[:200])
    spoiled[:10] *= 1000.0
    gaps = {
        name: examine(patient(train=(x, Z[:200])), ("scale",))["row_gap"]
        for name, x in {"sound": X[:200], "spoiled": spoiled, "heavy": heavy}.items()
    }
    assert gaps["spoiled"] > 1.0 > 0.5 > max(gaps["sound"], gaps["heavy"])


def test_held_out_rows_of_another_kind_are_told():
    held = X[200:].copy()
    held[:, 2] = 3.0
    assert examine(patient(), ("split",))["apart_surely"] < 0.4
    assert examine(patient(valid=(held, Z[200:])), ("split",))["apart_surely"] > 0.6
