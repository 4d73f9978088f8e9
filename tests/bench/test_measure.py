"""Timing takes turns, and only contenders with the right numbers are timed."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lossmith.bench.measure import Effort, measure
from lossmith.bench.peers.contender import Contender, Outcome, distance, outcome

EFFORT = Effort(0.0, least=4, most=6, share=40.0, few=2)


def contender(name: str, value: float = 2.0, scale: float = 1.0, call: Callable[[], Any] | None = None) -> Contender:
    gradient = scale * np.array([1.0, -4.0])
    return Contender(name, "", call or (lambda: (value, gradient)), lambda result: outcome(*result))


def test_contenders_with_the_same_numbers_are_timed() -> None:
    ours, theirs = measure([contender("ours"), contender("theirs")], 1e-9, EFFORT)
    assert ours.status == theirs.status == "timed"
    assert ours.error is None
    assert theirs.error == 0.0
    assert ours.samples >= 4
    assert 0.0 < ours.best <= ours.low <= ours.median <= ours.high


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(contender("w", value=2.02), 0.01), (contender("w", scale=1.25), 0.25), (contender("w", scale=math.nan), None)],
)
def test_a_planted_wrong_competitor_is_not_timed(wrong: Contender, error: float | None) -> None:
    _, found = measure([contender("ours"), wrong], 1e-3, EFFORT)
    assert found.status == "differs"
    assert found.median is None
    assert (found.error is None) if error is None else (abs(found.error - error) < 1e-12)
    assert "differs" in found.note


def test_the_tolerance_is_what_separates_equal_from_different() -> None:
    _, found = measure([contender("ours"), contender("near", scale=1.0 + 1e-4)], 1e-3, EFFORT)
    assert found.status == "timed"
    _, found = measure([contender("ours"), contender("near", scale=1.0 + 1e-4)], 1e-5, EFFORT)
    assert found.status == "differs"


def test_missing_derivatives_and_other_shapes_are_different() -> None:
    ours = Outcome(1.0, (np.ones(3),))
    assert distance(ours, Outcome(1.0)) == math.inf
    assert distance(ours, Outcome(1.0, (np.ones((3, 1)),))) == math.inf
    assert distance(ours, Outcome(1.0, (np.full(3, np.nan),))) == math.inf
    assert distance(ours, ours) == 0.0
    assert distance(Outcome(0.0, (np.zeros(2),)), Outcome(0.0, (np.full(2, 0.5),))) == 0.5


def test_failures_are_lines_and_refusals_are_not_called() -> None:
    def explode() -> Any:
        raise RuntimeError("no\nmemory")

    refused = Contender("big", "", explode, None, refusal="would need 100 GB")
    _, failed, skipped = measure([contender("ours"), contender("bad", call=explode), refused], 1e-9, EFFORT)
    assert (failed.status, failed.note) == ("failed", "RuntimeError: no memory")
    assert (skipped.status, skipped.note) == ("skipped", "would need 100 GB")


def test_without_our_own_numbers_nobody_is_called_wrong() -> None:
    def explode() -> Any:
        raise ValueError("not yet")

    rivals = contender("a"), contender("b", scale=9.0)
    ours, first, second = measure([contender("ours", call=explode), *rivals], 1e-9, EFFORT)
    assert ours.status == "failed"
    assert (first.status, second.status) == ("timed", "timed")
    assert first.error is second.error is None


def test_limits_compute_no_loss_and_are_timed() -> None:
    _, limit = measure([contender("ours"), Contender("limit", "", lambda: None, None)], 1e-9, EFFORT)
    assert limit.status == "timed"
    assert limit.error is None


def test_contenders_alternate_in_changing_order_without_garbage_collection() -> None:
    calls: list[str] = []
    collecting: list[bool] = []

    def say(name: str) -> Callable[[], Any]:
        def call() -> Any:
            calls.append(name)
            collecting.append(gc.isenabled())
            return 1.0, np.ones(1)

        return call

    clock = iter(range(10**6))  # a second passes at every look: one call a sample
    measure([contender(n, call=say(n)) for n in "abc"], 1e-9, EFFORT, clock=lambda: float(next(clock)))
    timed = calls[6:]
    rounds = [timed[i : i + 3] for i in range(0, len(timed), 3)]
    assert len(rounds) == EFFORT.least
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1
    assert not any(collecting[6:])
    assert gc.isenabled()


def test_slow_contenders_need_fewer_rounds() -> None:
    clock = iter(range(10**6))
    effort = Effort(0.0, least=5, most=9, share=2.5, few=1)
    slow, _ = measure([contender("a"), contender("b")], 1e-9, effort, clock=lambda: float(next(clock)))
    assert slow.samples == 2
    assert slow.median == 1.0
