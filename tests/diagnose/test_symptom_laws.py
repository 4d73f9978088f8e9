"""Laws of single rules, each with a control that must stay silent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lossmith.diagnose.record import Facts, Layer, Record, Step
from lossmith.diagnose.symptoms import symptoms
from lossmith.diagnose.symptoms.probed import probed

N = 300


def run(n=N, facts=None, every=10, held=None, metrics=None, **columns):
    steps = [
        Step(
            i,
            eval_loss=float(held[i]) if held is not None and i % every == 0 else None,
            metrics={k: float(v[i]) for k, v in (metrics or {}).items()} if i % every == 0 else {},
            **{name: float(values[i]) for name, values in columns.items()},
        )
        for i in range(n)
    ]
    return Record.of(facts or Facts(), steps)


def ids(record):
    return {s.id for s in symptoms(record)[0] if s.severity != "info"}


def falling(n=N, end=0.3, tau=0.1, noise=0.05, seed=0):
    t = np.arange(n) / n
    return (end + (1.0 - end) * np.exp(-t / tau)) * np.exp(np.random.default_rng(seed).normal(0.0, noise, n))


@pytest.mark.parametrize("n", [4, 10, 20])
def test_few_steps_are_slow_and_no_plateau(n):
    loss = 1.0 - 0.01 * np.arange(n) / n + 0.005 * (-1.0) ** np.arange(n)
    steps = ids(run(n, loss=loss, grad_norm=np.ones(n)))
    assert "LM-SLOW" in steps
    assert "LM-PLATEAU" not in steps
    assert "LM-SLOW" not in ids(run(n, loss=loss))  # rows of epochs hold no gradients
    assert "LM-SLOW" not in ids(run(n, Facts(planned_steps=500), loss=loss, grad_norm=np.ones(n)))  # it goes on


def test_a_solver_that_arrived_in_few_steps_is_not_slow():
    loss = 0.5 + 0.5 * 10.0 ** -np.arange(12.0)
    assert "LM-SLOW" not in ids(run(12, loss=loss, grad_norm=np.ones(12)))


def test_a_rising_rate_hides_no_slowness():
    loss = 1.0 - 0.2 * (np.arange(N) / N) ** 1.3 + np.random.default_rng(0).normal(0.0, 0.002, N)
    assert "LM-SLOW" in ids(run(loss=loss, learning_rate=1e-3 * (1.0 + np.arange(N))))


def test_steps_that_lead_nowhere_are_slow_whatever_the_schedule():
    rate = 0.02 + 0.49 * (1.0 + np.cos(np.pi * np.arange(N) / N))
    way = np.cumsum(rate) / rate.sum()
    loss = 1.0 - 0.4 * way + np.random.default_rng(0).normal(0.0, 0.005, N)
    size = np.full(N, 5.0)
    told = {"loss": loss, "learning_rate": rate, "parameter_norm": size}
    assert "LM-SLOW" in ids(run(**told, update_norm=1e-4 * rate))
    assert "LM-SLOW" not in ids(run(**told, update_norm=1e-2 * rate))


def test_parameters_that_a_penalty_shrinks_are_a_plateau():
    shrunk, kept = (4.0 * (low + (1.0 - low) * np.exp(-np.arange(N) / 30)) for low in (0.2, 0.7))
    assert "LM-PLATEAU" in ids(run(loss=falling(end=0.6), parameter_norm=shrunk))
    assert "LM-PLATEAU" not in ids(run(loss=falling(end=0.6), parameter_norm=kept))
    assert "LM-PLATEAU" not in ids(run(loss=falling(end=0.02), parameter_norm=shrunk))  # all is learned


def test_slow_swings_are_told_from_noise_and_from_one_rise():
    t = np.arange(N) / N
    assert "LM-OSCILLATE" in ids(run(loss=falling() + 0.3 * np.sin(2 * np.pi * 3 * t) ** 2))
    assert "LM-OSCILLATE" not in ids(run(loss=falling(noise=0.4)))
    assert "LM-OSCILLATE" not in ids(run(loss=falling() + np.maximum(0.0, t - 0.5)))  # rises and stays: another symptom


def test_shares_of_classes_follow_from_accuracy_and_recalls():
    rng = np.random.default_rng(0)
    recalls = {0: 0.9 + 0.1 * rng.random(N), 1: 0.2 * rng.random(N), 2: 0.8 + 0.1 * rng.random(N)}

    def metrics(*shares):
        right = sum(s * r for s, r in zip(shares, recalls.values(), strict=True))
        return {"eval_accuracy": right, **{f"eval_recall_{c}": r for c, r in recalls.items()}}

    assert "LM-IMBALANCE" in ids(run(loss=falling(), metrics=metrics(0.6, 0.05, 0.35)))
    assert "LM-IMBALANCE" not in ids(run(loss=falling(), metrics=metrics(0.3, 0.4, 0.3)))  # missed, but not rare
    lone = {k: np.full(N, v[0]) for k, v in metrics(0.6, 0.05, 0.35).items()}
    assert "LM-IMBALANCE" not in ids(run(loss=falling(), metrics=lone))  # the same numbers each time tell no shares


def test_updates_below_half_precision():
    told = {"loss": falling(), "parameter_norm": np.full(N, 10.0)}
    fine, lost = np.full(N, 0.1), np.full(N, 1e-3)
    assert "LM-UNDERFLOW" in ids(run(facts=Facts(precision="float16"), **told, update_norm=lost))
    assert "LM-UNDERFLOW" not in ids(run(facts=Facts(precision="float16"), **told, update_norm=fine))
    assert "LM-UNDERFLOW" not in ids(run(facts=Facts(precision="16-mixed"), **told, update_norm=lost))


def layered(first, last):
    layers = {"first": Layer(**first), "last": Layer(**last)}
    return Record.of(Facts(), [Step(i, loss=1.0, layers=layers) for i in range(30)])


def test_dead_or_frozen_layers_are_no_vanishing_gradient():
    whole = {"gradient_norm": 1.0, "parameter_norm": 3.0, "update_norm": 0.01}
    faint = {"gradient_norm": 1e-4, "parameter_norm": 3.0, "update_norm": 1e-3}
    still = {"gradient_norm": 0.0, "parameter_norm": 3.0, "update_norm": 0.0}
    assert "LM-VANISH" in ids(layered(faint, whole))
    frozen = ids(layered(still, whole))
    assert "LM-FROZEN" in frozen
    assert "LM-VANISH" not in frozen
    dead = ids(layered({**still, "update_norm": 1e-3, "dead_share": 1.0}, whole))
    assert "LM-DEAD" in dead
    assert "LM-VANISH" not in dead


def test_held_out_rows_that_gain_nothing_while_much_is_learned():
    flat = 1.02 + 0.01 * np.random.default_rng(0).normal(size=N)
    learned, little = ids(run(loss=falling(end=0.3), held=flat)), ids(run(loss=falling(end=0.75), held=flat))
    assert "LM-DISAGREE" in learned
    assert "LM-LABELS" not in learned
    assert "LM-LABELS" in little
    carried = np.linspace(2.0, 1.3, N)  # they cost more from the start, and did gain
    assert "LM-LABELS" not in ids(run(loss=falling(end=0.85), held=carried))


def test_a_weighted_log_loss_disagrees_with_the_decisions():
    right = {"eval_accuracy": np.full(N, 0.35)}
    low, high = falling(end=0.05, tau=0.02), falling(end=0.9)
    weighted = ids(run(facts=Facts(loss="cross_entropy"), loss=low, held=low, metrics=right))
    assert "LM-DISAGREE" in weighted
    assert "LM-OUTPUT" not in weighted
    assert "LM-OUTPUT" in ids(run(loss=low, held=low, metrics=right))  # of unknown name it is another loss
    assert "LM-DISAGREE" not in ids(run(facts=Facts(loss="cross_entropy"), loss=high, held=high, metrics=right))


def test_losses_in_two_units_say_nothing_of_the_evaluation():
    scaled, held = 1e-6 * falling(end=0.05, tau=0.03), falling(end=0.7)
    same = ids(run(loss=1e6 * scaled, held=held, epoch=np.arange(N) / 30))
    assert {"LM-MODE", "LM-OVERFIT"} <= same
    assert not {"LM-MODE", "LM-OVERFIT"} & ids(run(loss=scaled, held=held, epoch=np.arange(N) / 30))


def test_an_infinite_input_is_no_matter_of_scale():
    assert "LM-SCALE" not in ids(run(facts=Facts(input_mean_max=math.inf), loss=falling()))
    assert "LM-SCALE" in ids(run(facts=Facts(input_mean_max=50.0), loss=falling()))


SOFTPLUS = {
    "outputs_nonnegative": 1.0, "target_mean": -8.0, "target_std": 0.0, "outputs_outside": -0.5,
    "output_spread": -0.8, "fresh_memorised_right": 0.3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"outputs_nonnegative": 0.6}, False),
        ({"target_mean": 0.3}, False),
        ({"fresh_memorised_right": 0.99}, False),
    ],
)
def test_outputs_that_are_never_negative(change, told):
    assert (probed("LM-OUTPUT", SOFTPLUS | change) is not None) == told


@pytest.mark.parametrize(("growth", "told"), [(-0.8, True), (1.2, False), (-12.0, False)])
def test_losses_that_pull_elsewhere(growth, told):
    assert (probed("LM-OUTPUT", {"loss_cosine": 0.77, "loss_growth": growth}) is not None) == told
    assert probed("LM-OUTPUT", {"loss_cosine": 1.0, "loss_growth": growth}) is None


def test_rows_learned_by_heart():
    assert probed("LM-OVERFIT", {"own_skill_train": 1.0, "own_skill": 0.6}) is not None
    assert probed("LM-OVERFIT", {"own_skill_train": 1.0, "own_skill": 0.8}) is None


@pytest.mark.parametrize("seed", range(3))
def test_batch_losses_scatter_as_their_rows_let_them(seed):
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(N, 32)) ** 2
    far = np.where(rng.random((N, 32)) < 0.03, 400.0, errors)
    told = Facts(task="regression", batch_size=32)
    assert "LM-OUTLIERS" in ids(run(facts=told, loss=far.mean(1)))
    assert "LM-OUTLIERS" not in ids(run(facts=told, loss=errors.mean(1)))
    assert "LM-OUTLIERS" not in ids(run(facts=Facts(task="multiclass", batch_size=32), loss=far.mean(1)))
    ordered = np.sort(far.mean(1)).reshape(-1, 3).T.ravel()  # batches that rise three times: their order scatters them
    assert "LM-OUTLIERS" not in ids(run(facts=told, loss=ordered))
