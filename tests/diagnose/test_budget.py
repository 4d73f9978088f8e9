"""Watching keeps to its share of the time."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith.diagnose.monitors.budget import Budget
from lossmith.diagnose.monitors.samples import Reservoir, spread


def spend(share, cost, step=1e-3, steps=5000):
    """Run steps of a given length under a budget; return the share of time spent measuring, and how often it was."""
    now = [0.0]
    budget = Budget({"look": share}, clock=lambda: now[0])
    done = 0
    for _ in range(steps):
        now[0] += step
        if budget.allows("look"):
            now[0] += cost
            budget.charge("look", cost)
            done += 1
    return done * cost / (steps * step), done


@pytest.mark.parametrize("cost", [1e-5, 1e-4, 1e-3, 1e-2])
def test_no_more_is_spent_than_its_share_after_the_start(cost):
    used, done = spend(0.05, cost)
    free = 2 * cost / 5.0
    assert used <= 0.05 + free
    assert used >= min(0.04, 0.9 * cost / 1e-3)
    assert done >= 2


def test_what_is_cheap_enough_is_done_each_time():
    assert spend(0.05, 4e-5)[1] >= 4990


def test_without_a_limit_nothing_is_left_out():
    assert spend(np.inf, 1.0, steps=100)[1] == 100


def test_the_reservoir_is_an_even_sample():
    held = np.zeros(400)
    for seed in range(60):
        reservoir = Reservoir(size=100, seed=seed)
        for batch in np.split(np.arange(400.0), 20):
            reservoir.add(batch)
        held[reservoir.held.astype(int)] += 1
        assert len(np.unique(reservoir.held)) == 100
    # Each of 400 is expected 15 times in 60 samples of 100, with a standard deviation of 3.4.
    by_batch = held.reshape(20, 20).mean(1)
    assert np.abs(by_batch - 15).max() < 4 * 3.4 / np.sqrt(20)


def test_the_worst_percent_of_a_batch():
    losses = np.concatenate([np.ones(198), [100.0, 102.0]])
    assert spread(losses)["top1_share"] == pytest.approx(202 / 400)
    assert spread(np.zeros(4))["top1_share"] == 0.25
    assert Reservoir().watch(np.array([np.nan])).keys() == {"top1_share", "max", "median"}
