"""Symptoms: planted ones are found, healthy curves of any length and noise are left alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from lossmith.diagnose.record import Facts, Layer, Record, Step
from lossmith.diagnose.symptoms import RULES, NotRun, Symptom, symptoms, timeline

N = 300


def run(loss=None, facts=None, *, n=N, held=None, every=10, grad=None, rate=None, accuracy=None, **columns):
    """A record with a loss a step, a held-out loss every ten, and whatever else is given as arrays."""
    steps = []
    for i in range(n):
        look = i % every == 0
        metrics = {"eval_accuracy": float(accuracy[i])} if accuracy is not None and look else {}
        steps.append(
            Step(
                i,
                loss=None if loss is None else float(loss[i]),
                eval_loss=float(held[i]) if held is not None and look else None,
                grad_norm=None if grad is None else float(grad[i]),
                learning_rate=None if rate is None else float(rate[i]),
                metrics=metrics,
                **{name: float(values[i]) for name, values in columns.items()},
            )
        )
    return Record.of(facts or Facts(), steps)


def falling(n=N, start=1.0, end=0.3, tau=0.1, noise=0.0, seed=0):
    t = np.arange(n) / n
    clean = end + (start - end) * np.exp(-t / tau)
    return clean * np.exp(np.random.default_rng(seed).normal(0.0, noise, n))


def healthy(n=N, noise=0.2, seed=0, **more):
    grad = falling(n, 2.0, 0.4, 0.2, 0.4, seed + 1)
    return run(
        falling(n, noise=noise, seed=seed), held=falling(n, 1.0, 0.33, 0.1, 0.01, seed + 2), grad=grad, n=n, **more
    )


def ids(record, severe=True):
    return {s.id for s in symptoms(record)[0] if not severe or s.severity != "info"}


def test_ids_are_the_stable_ones():
    known = (
        "NAN EXPLODE VANISH SLOW PLATEAU OSCILLATE DIVERGE SPIKE OVERFIT IMBALANCE OUTLIERS MINIMA DEAD SATURATED LEAK "
        "LABELS OUTPUT SCALE FROZEN NOZERO MODE LRZERO SORTED DISAGREE UNDERFLOW"
    )
    assert sorted(rule.id for rule in RULES) == sorted(f"LM-{word}" for word in known.split())
    assert all(rule.about.endswith(".") and rule.name for rule in RULES)


@pytest.mark.parametrize("n", [30, 100, 1000, 8000])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_healthy_curves_give_nothing_at_any_length_and_noise(n, noise, seed):
    assert ids(healthy(n, noise, seed)) == set()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_unit_of_the_loss_does_not_matter(factor):
    rng = np.random.default_rng(3)
    curves = {
        "overfit": (falling(end=0.01), np.r_[np.linspace(1, 0.4, 100), np.linspace(0.4, 0.9, 200)]),
        "flat": (1.0 + 0.1 * rng.normal(size=N), np.full(N, 1.0)),
        "slow": (np.linspace(1.0, 0.8, N) + 0.05 * rng.normal(size=N), np.linspace(1.0, 0.8, N)),
    }
    for loss, held in curves.values():
        plain = ids(run(loss, held=held)) - {"LM-SCALE"}
        assert plain
        assert ids(run(loss * factor, held=held * factor)) - {"LM-SCALE"} == plain


def test_the_order_of_metrics_does_not_matter():
    record = healthy(accuracy=np.linspace(0.5, 0.9, N))
    turned = [
        dataclasses.replace(s, metrics={"z": 1.0, **dict(reversed(list(s.metrics.items()))), "a": 0.0})
        for s in record.steps
    ]
    assert symptoms(Record.of(record.facts, turned))[0] == symptoms(record)[0]


def test_not_a_number_is_named_at_its_step_with_its_layer():
    loss = falling()
    loss[137:] = math.nan
    steps = [
        dataclasses.replace(s, layers={"a": Layer(gradient_norm=1.0), "b": Layer(gradient_norm=math.nan)})
        if s.step == 137
        else s
        for s in run(loss).steps
    ]
    record = Record.of(Facts(), steps)
    found = next(s for s in symptoms(record)[0] if s.id == "LM-NAN")
    assert (found.severity, found.step) == ("error", 137)
    assert "layer: b" in found.evidence
    assert timeline(record)["LM-NAN"] == 137


PLANTED = {
    "LM-EXPLODE": lambda: run(np.exp(np.linspace(0, 6, N)), grad=np.exp(np.linspace(0, 8, N))),
    "LM-DIVERGE": lambda: run(np.r_[falling(200), np.linspace(0.3, 0.9, 100)]),
    "LM-SPIKE": lambda: run(falling() + np.where((np.arange(N) // 5) == 40, 3.0, 0.0)),
    "LM-OSCILLATE": lambda: run(falling(noise=0.1), held=0.5 + 0.4 * np.where(np.arange(N) // 10 % 2 == 0, 1, -1)),
    "LM-SLOW": lambda: run(np.linspace(1, 0.7, N), held=np.linspace(1, 0.7, N)),
    "LM-PLATEAU": lambda: run(
        1.0 + 0.1 * np.random.default_rng(0).normal(size=N), held=np.full(N, 1.0) + 1e-4 * np.sin(np.arange(N))
    ),
    "LM-FROZEN": lambda: run(falling(noise=0.1), parameter_norm=np.full(N, 3.0), update_norm=np.zeros(N)),
    "LM-LRZERO": lambda: run(falling(), rate=np.where(np.arange(N) < 60, 0.1, 0.0)),
    "LM-OVERFIT": lambda: run(falling(end=0.01), held=np.r_[np.linspace(1, 0.4, 100), np.linspace(0.4, 0.9, 200)]),
    "LM-LEAK": lambda: run(falling(end=0.001), held=falling(end=0.001)),
    "LM-LABELS": lambda: run(falling(start=2.3, end=1.5, noise=0.1), held=falling(start=2.3, end=0.4)),
    "LM-MODE": lambda: run(falling(end=0.1), held=falling(end=0.7), epoch=np.arange(N) / 30),
    "LM-DISAGREE": lambda: run(falling(end=0.1), held=np.linspace(1.0, 3.0, N)),
    "LM-NOZERO": lambda: run(falling(noise=0.1), grad=np.linspace(1, 60, N)),
    "LM-SORTED": lambda: run(falling() * (1 + 0.5 * np.sin(2 * np.pi * np.arange(N) / 15)), Facts(steps_per_epoch=15)),
    "LM-SCALE": lambda: run(falling(), Facts(input_std_max=5e3)),
    "LM-OUTPUT": lambda: run(falling(), Facts(loss="mse", classes=3)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name):
    assert name in ids(PLANTED[name](), severe=name != "LM-LEAK")  # a log alone cannot tell a leak from an easy task
    assert name not in ids(healthy(), severe=False)


def layered(**values):
    record = healthy()
    layers = {
        "first": Layer(gradient_norm=1.0, parameter_norm=5.0, update_norm=0.01),
        "last": Layer(1.0, 5.0, 0.01, **values),
    }
    return Record.of(
        record.facts, [dataclasses.replace(s, layers=layers) if s.step % 10 == 0 else s for s in record.steps]
    )


@pytest.mark.parametrize(
    ("name", "values"), [("LM-DEAD", {"dead_share": 0.95}), ("LM-SATURATED", {"saturated_share": 0.95})]
)
def test_units(name, values):
    assert name in ids(layered(**values))
    assert name not in ids(layered(**dict.fromkeys(values, 0.1)))


def test_rare_classes_that_are_missed():
    steps = [Step(i, loss=0.5, metrics={"eval_recall_0": 0.99, "eval_recall_1": 0.1}) for i in range(20)]
    assert "LM-IMBALANCE" in ids(Record.of(Facts(class_counts=(90, 10)), steps))
    assert "LM-IMBALANCE" not in ids(Record.of(Facts(class_counts=(50, 50)), steps))


HOSTILE = {
    "empty": [],
    "nothing recorded": [Step(i) for i in range(5)],
    "one step": [Step(0, loss=1.0)],
    "all nan": [Step(i, loss=math.nan, eval_loss=math.nan, grad_norm=math.inf) for i in range(50)],
    "constant": [Step(i, loss=1.0, eval_loss=1.0, grad_norm=1.0, learning_rate=1.0) for i in range(50)],
    "zeros": [Step(i, loss=0.0, eval_loss=0.0, grad_norm=0.0, learning_rate=0.0, update_norm=0.0) for i in range(50)],
    "huge": [Step(i, loss=10.0 ** (300 * (i % 2)), eval_loss=1e308, grad_norm=1e308) for i in range(50)],
    "negative": [Step(i, loss=-float(i), eval_loss=-float(i), grad_norm=1.0) for i in range(50)],
    "going back": [Step(i % 7, loss=float(i % 7), eval_loss=1.0) for i in range(50)],
    "same step": [Step(3, loss=float(i), eval_loss=1.0, learning_rate=0.1) for i in range(50)],
    "tiny": [Step(i, loss=5e-324, eval_loss=5e-324, grad_norm=5e-324) for i in range(50)],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_do_no_harm(name):
    record = Record.of(Facts(), HOSTILE[name])
    found, unrun = symptoms(record)
    assert all(isinstance(s, Symptom) and "\n" not in s.evidence for s in found)
    assert all(isinstance(u, NotRun) and u.reason for u in unrun)
    assert len({r.id for r in (*found, *unrun)}) == len(found) + len(unrun)
    timeline(record, looks=3)


def test_every_symptom_carries_numbers_and_limits():
    for make in PLANTED.values():
        for symptom in symptoms(make())[0]:
            assert symptom.evidence
            assert any(character.isdigit() for character in symptom.evidence)
            assert all(isinstance(value, float) for value in symptom.numbers.values())


def test_what_comes_early_is_raised_early():
    assert timeline(PLANTED["LM-OSCILLATE"]())["LM-OSCILLATE"] <= 0.35 * N
    assert timeline(run(np.exp(np.linspace(0, 6, N))))["LM-EXPLODE"] <= 0.6 * N


def test_neighbouring_batches_that_cost_alike_show_an_order():
    rng = np.random.default_rng(0)
    blocks = np.repeat(rng.normal(0.0, 0.6, N // 10), 10)
    shuffled = rng.permutation(blocks)
    assert "LM-SORTED" in ids(run(falling() * np.exp(blocks)))
    assert "LM-SORTED" not in ids(run(falling() * np.exp(shuffled)))


def test_a_training_loss_held_up_by_noise_stands_still():
    assert "LM-PLATEAU" in ids(run(falling(end=0.6, noise=0.1), held=falling(end=0.3)))
    assert "LM-PLATEAU" not in ids(run(falling(end=0.33, noise=0.1), held=falling(end=0.3)))


def test_labels_of_other_rows_teach_nothing_about_held_out_rows():
    flat = 1.0 + 0.01 * np.random.default_rng(0).normal(size=N)
    assert "LM-LABELS" in ids(run(falling(end=0.7, noise=0.1), held=flat))
    assert "LM-LABELS" not in ids(run(falling(end=0.7, noise=0.1), held=falling(end=0.75)))


def test_checks_that_begin_late_are_no_plateau():
    loss = falling(1000, tau=0.01, noise=0.1)
    held = 0.31 + 0.002 * np.random.default_rng(1).normal(size=1000)
    held[0] = 1.0
    assert "LM-PLATEAU" not in ids(run(loss, held=held, n=1000, every=50))


def test_held_out_losses_that_stop_for_good_under_noisy_batches_are_a_plateau():
    loss, solved = falling(1000, tau=0.01, noise=0.1), falling(1000, tau=0.01, noise=0.0)
    held = np.full(1000, 0.6)
    held[:200] = np.linspace(1.0, 0.6, 200)
    assert "LM-PLATEAU" in ids(run(loss, held=held, n=1000, every=20))
    assert "LM-PLATEAU" not in ids(run(solved, held=held, n=1000, every=20))  # a solver that has arrived


def test_gradients_below_half_precision():
    tiny = falling(noise=0.2) * 1e-6
    assert "LM-UNDERFLOW" in ids(run(tiny, Facts(precision="float16"), grad=tiny))
    assert "LM-UNDERFLOW" not in ids(run(tiny, Facts(precision="float32"), grad=tiny))


def test_large_activations_at_the_start():
    def record(spread):
        layers = {"hidden": Layer(activation_std=spread), "last": Layer(activation_std=spread)}
        first = dataclasses.replace(healthy().steps[0], layers=layers)
        return Record.of(Facts(), [first, *healthy().steps[1:]])

    assert "LM-SCALE" in ids(record(20.0))
    assert "LM-SCALE" not in ids(record(1.0))


def test_single_losses_that_differ_twofold_come_from_few_rows():
    rng = np.random.default_rng(0)
    calm, wild = (np.exp(size * rng.normal(size=400)) for size in (0.3, 1.2))
    assert "LM-OSCILLATE" not in ids(run(calm, Facts(batch_size=32)))
    assert "LM-OSCILLATE" in ids(run(wild, Facts(batch_size=32)))
    assert "LM-OSCILLATE" not in ids(run(wild, Facts(batch_size=4)))  # a small rate makes up for it


def test_a_loss_that_falls_below_zero_ever_faster_has_no_lowest_value():
    steps = np.arange(float(N))
    assert "LM-OUTPUT" in ids(run(1.0 - 0.002 * steps**2))
    assert "LM-OUTPUT" not in ids(run(1.0 - 20.0 * (1.0 - np.exp(-steps / 30))))  # a density's logarithm that settles


def test_a_loss_that_fell_and_came_back_does_not_stand_still():
    fell = np.concatenate([falling(100, 2.0, 0.5, 0.2), np.linspace(0.5, 1.95, 200)])
    there = run(falling(noise=0.02, start=2.0, end=0.05), held=fell)
    assert "LM-PLATEAU" not in ids(there)
    assert "LM-OVERFIT" in ids(there)
    assert "LM-PLATEAU" in ids(run(np.full(N, 2.0) + 0.01 * np.sin(np.arange(N)), held=np.full(N, 2.0)))


def test_a_gradient_that_is_not_finite_is_told_without_a_share_of_losses():
    record = run(falling(8), n=8, grad=np.array([1.0] * 7 + [np.nan]))
    told = next(s for s in symptoms(record)[0] if s.id == "LM-NAN")
    assert "recorded losses" not in told.evidence
