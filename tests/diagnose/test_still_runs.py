"""Runs that hardly move: seen by the way of the parameters, by their steps, by layers, and by how they began."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith.diagnose.record import Facts, Layer, Record, Step
from lossmith.diagnose.symptoms import symptoms

N = 200


def record(update, size=None, layers=None, held=None, end=0.4):
    """A run that falls from 1 to ``end`` with steps of the given lengths."""
    rng = np.random.default_rng(0)
    loss = (end + (1.0 - end) * np.exp(-np.arange(N) / 20)) * np.exp(0.2 * rng.normal(size=N))
    size = np.full(N, 10.0) if size is None else size
    return Record.of(
        Facts(),
        [
            Step(
                i,
                loss=float(loss[i]),
                eval_loss=None if held is None or i % 10 else float(held[i]),
                update_norm=float(update[i]),
                parameter_norm=float(size[i]),
                grad_norm=float(np.exp(0.2 * rng.normal())),
                layers={} if layers is None or i % 10 else {name: layer(i) for name, layer in layers.items()},
            )
            for i in range(N)
        ],
    )


def found(made):
    return {symptom.id for symptom in symptoms(made)[0] if symptom.severity != "info"}


@pytest.mark.parametrize(("step", "slow"), [(0.05, False), (0.01, False), (0.001, True)])
def test_parameters_that_stay_at_home_are_slow(step, slow):
    assert ("LM-SLOW" in found(record(np.full(N, step)))) == slow


def test_steps_that_come_to_nothing_are_a_rate_that_is_gone():
    sound, gone = 0.1 * 0.05 ** (np.arange(N) / N), 0.5 * 0.05 ** (np.arange(N) / 10)
    assert "LM-LRZERO" not in found(record(sound))
    assert "LM-LRZERO" in found(record(gone))


@pytest.mark.parametrize(("share", "frozen"), [(1.0, False), (0.1, False), (1e-4, True), (0.0, True)])
def test_layers_that_are_left_behind_are_frozen(share, frozen):
    layers = {
        "body": lambda i: Layer(gradient_norm=1.0, parameter_norm=5.0, update_norm=0.05 * share),
        "head": lambda i: Layer(gradient_norm=1.0, parameter_norm=5.0, update_norm=0.05),
    }
    assert ("LM-FROZEN" in found(record(np.full(N, 0.05), layers=layers))) == frozen


@pytest.mark.parametrize(("first", "seen"), [(10.0, False), (5.0, False), (1.0, True), (0.01, True)])
def test_parameters_that_began_near_zero_are_seen_by_their_growth(first, seen):
    size = np.minimum(10.0, first + 0.3 * np.arange(N))
    layers = {name: lambda i: Layer(parameter_norm=float(size[i])) for name in ("body", "head")}
    assert ("LM-VANISH" in found(record(np.full(N, 0.3), size, layers))) == seen
    del layers["body"]  # a linear model may begin at zero
    assert "LM-VANISH" not in found(record(np.full(N, 0.3), size, layers))


def test_held_out_rows_that_cost_more_from_the_first_checks_on_are_prepared_otherwise():
    train = 0.4 + 0.6 * np.exp(-np.arange(N) / 20)
    alike, apart, late = train, train + 0.5 * (1.0 - np.exp(-np.arange(N) / 5)), train + 0.5 * np.arange(N) / N
    assert "LM-DISAGREE" not in found(record(np.full(N, 0.05), held=alike))
    assert "LM-DISAGREE" not in found(record(np.full(N, 0.05), held=late))
    assert {"LM-DISAGREE", "LM-MODE"} <= found(record(np.full(N, 0.05), held=apart))
