"""The bars say what was measured, and met only where every number is inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lossmith.bench import bars
from lossmith.bench.bars import SIX, Verdict, verdicts
from lossmith.bench.record import Memory, Results

Make = Callable[..., Any]
N = (4_000_000,)


def found(results: Results, words: str, work: str = "") -> Verdict:
    (verdict,) = [v for v in verdicts(results) if words in v.text and work in v.work]
    return verdict


def test_a_bar_without_measurements_is_not_met(results: Results) -> None:
    empty = replace(results, cells=(), memory=())
    assert {verdict.status for verdict in verdicts(empty)} == {bars.UNKNOWN}


def test_every_row_of_the_table_is_there(results: Results) -> None:
    works = dict.fromkeys(verdict.work for verdict in verdicts(results))
    assert len(works) == 9
    assert sum("LightGBM" in work for work in works) == 1
    assert "boosters.py" in found(results, "held-out").text


def test_the_limit_takes_the_better_of_ours_and_tells_the_other(results: Results) -> None:
    verdict = found(results, "moving the same bytes")
    assert verdict.worst is not None
    assert verdict.worst.label == "bce"
    assert verdict.worst.value == pytest.approx(2.0 / 1.5)
    assert verdict.worst.fresh == pytest.approx(4.0 / 1.5)
    assert verdict.status == bars.MET


@pytest.mark.parametrize(
    ("ours", "status"), [([1.0, 1.5], bars.MET), ([1.0, 1.7], bars.PARTLY), ([1.7, 2.0], bars.MISSED)]
)
def test_all_losses_must_be_inside(results: Results, cell: Make, ours: list[float], status: str) -> None:
    cells = [cell(name, N, lossmith=time) for name, time in zip(SIX[:2], ours, strict=True)]
    verdict = found(replace(results, cells=tuple(cells)), "moving the same bytes")
    assert verdict.status == status
    assert verdict.worst is not None
    assert verdict.worst.value == max(ours)


def test_speedups_are_over_the_rival_and_worst_is_smallest(results: Results, cell: Make) -> None:
    cells = (cell("bce", N, lossmith=1.0, torch=5.0), cell("huber", N, lossmith=1.0, torch=2.0))
    verdict = found(replace(results, cells=cells), "torch eager forward")
    assert [number.label for number in verdict.numbers] == ["huber", "bce"]
    assert verdict.status == bars.PARTLY


def test_the_hessian_is_over_the_gradient_plus_its_bytes(results: Results, cell: Make) -> None:
    cells = (
        cell("bce", N, lossmith=2.0, limit=1.0),
        cell("bce", N, lossmith=3.0, limit=1.25, operation="hessian"),
    )
    verdict = found(replace(results, cells=cells), "extra bytes")
    assert verdict.worst is not None
    assert verdict.worst.value == pytest.approx((3.0 - 0.25) / 2.0)
    assert verdict.status == bars.MET


def test_ctc_is_held_against_the_better_rival(results: Results, cell: Make) -> None:
    cells = (cell("ctc", (200, 16, 40, 30), dtype="float32", lossmith=1.0, torch=9.0, optax=3.0),)
    verdict = found(replace(results, cells=cells), "better of torch")
    assert verdict.worst is not None
    assert verdict.worst.value == pytest.approx(3.0)
    assert verdict.status == bars.MISSED


def test_small_calls_are_in_microseconds(results: Results) -> None:
    verdict = found(results, "10 us")
    assert verdict.worst is not None
    assert verdict.worst.value == pytest.approx(8.0)
    assert verdict.status == bars.MET


def test_memory_is_a_share_of_the_logits(results: Results) -> None:
    verdict = found(results, "under 5 %")
    assert verdict.worst is not None
    assert verdict.worst.value == pytest.approx(1.0)


@pytest.mark.parametrize(("extra", "status"), [(200, bars.MET), (399, bars.MISSED)])
def test_growth_needs_two_sizes(results: Results, extra: int, status: str) -> None:
    def entry(n: int, peak: int) -> Memory:
        return Memory("nt_xent", "gradient", "float32", (n, 128), "lossmith", "", peak, 0, 1, "x")

    assert found(replace(results, memory=(entry(10, 100),)), "O(n) tiles").status == bars.UNKNOWN
    assert found(replace(results, memory=(entry(10, 100), entry(20, extra))), "O(n) tiles").status == status
