"""What looks like a fault and is none: heavy tails in small batches, a rate that fades, few rows."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith.diagnose.record import Facts, Record, Step
from lossmith.diagnose.symptoms import symptoms
from lossmith.diagnose.symptoms.probed import probed

N = 400


def seen(losses, rates=None):
    rates = np.full(N, 0.1) if rates is None else rates
    steps = [Step(i, loss=float(v), learning_rate=float(r)) for i, (v, r) in enumerate(zip(losses, rates, strict=True))]
    return {s.id for s in symptoms(Record.of(Facts(), steps))[0] if s.severity != "info"}


@pytest.mark.parametrize("seed", range(5))
def test_means_of_few_rows_with_heavy_tails_are_no_spikes(seed):
    rows = np.random.default_rng(seed).lognormal(0.0, 1.5, (N, 4))
    level = 0.4 + 0.6 * np.exp(-np.arange(N) / 40)
    losses = level * rows.mean(1) / rows.mean()
    losses[:3] = 0.5
    assert losses[10:].max() > 5.0 * 0.5, "the case does not leap"
    assert "LM-SPIKE" not in seen(losses)


def test_the_same_leap_out_of_a_quiet_curve_is_a_spike():
    losses = 0.4 + 0.6 * np.exp(-np.arange(N) / 40) + np.random.default_rng(0).normal(0.0, 0.01, N)
    losses[250] = 7.0
    assert "LM-SPIKE" in seen(losses)


def test_a_straight_fall_is_slow_unless_the_rate_fades():
    faded = 0.02 + 0.49 * (1.0 + np.cos(np.pi * np.arange(N) / N))
    noise = np.random.default_rng(0).normal(0.0, 0.005, N)
    assert "LM-SLOW" in seen(1.0 - 0.5 * np.arange(N) / N + noise)
    way = np.cumsum(faded) / faded.sum()
    assert "LM-SLOW" not in seen(1.0 - 0.5 * way + noise, faded)
    assert "LM-SLOW" in seen(1.0 - 0.05 * way + 0.1 * noise, faded)  # hardly begun
    assert "LM-SLOW" in seen(1.0 - 0.5 * way**4 + noise, faded)  # gathers pace


@pytest.mark.parametrize(("rows", "told"), [(90, False), (900, True)])
def test_few_rows_contradict_each_other_by_chance(rows, told):
    numbers = {"neighbours_doubt": 0.2, "rows": float(np.log10(rows))}
    assert (probed("LM-LABELS", numbers) is not None) == told
    numbers = {"restart_skill": 0.61, "own_skill": 0.5, "rows": float(np.log10(rows))}
    assert (probed("LM-SLOW", numbers) is not None) == told


def test_steps_that_raise_the_loss_of_a_new_start_explode():
    assert probed("LM-EXPLODE", {"fresh_own_fall": -1.0}) is not None
    assert probed("LM-EXPLODE", {"fresh_own_fall": -0.02}) is None
