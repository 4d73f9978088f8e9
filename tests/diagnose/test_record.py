"""The record keeps what matters of a run, in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lossmith.diagnose.record import Facts, Layer, Record, Step


def test_a_recorded_nan_is_not_a_missing_value():
    record = Record.of(Facts(), [Step(0, loss=1.0), Step(1), Step(2, loss=math.nan), Step(3, loss=math.inf)])
    steps, values = record.column("loss")
    assert steps.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(values, [1.0, math.nan, math.inf])
    assert record.column("grad_norm")[0].size == 0


def test_columns_reach_fields_metrics_samples_and_layers():
    step = Step(
        7,
        eval_loss=0.5,
        metrics={"eval_accuracy": 0.75},
        layers={"a": Layer(gradient_norm=2.0), "b": Layer(zero_share=0.5)},
        samples={"max": 9.0},
    )
    record = Record.of(Facts(), [step])
    for name, value in (("eval_loss", 0.5), ("eval_accuracy", 0.75), ("samples.max", 9.0)):
        assert record.column(name)[1].tolist() == [value]
    assert record.names == ("eval_loss", "eval_accuracy", "samples.max")
    assert record.layer_names == ("a", "b")
    assert record.layer_column("b", "zero_share")[1].tolist() == [0.5]
    assert record.layer_column("b", "gradient_norm")[1].size == 0
    with pytest.raises(ValueError, match="'bias' is not recorded of a layer: give one of gradient_norm"):
        record.layer_column("a", "bias")


def test_below_the_limit_every_step_stays():
    record = Record.of(Facts(), (Step(i, loss=float(i)) for i in range(500)), limit=1000)
    assert [s.step for s in record.steps] == list(range(500))
    assert record.notes == ()


def test_beyond_the_limit_it_thins_evenly_and_says_so():
    record = Record.of(Facts(), (Step(i, loss=float(i)) for i in range(100_003)), limit=1000)
    kept = np.array([s.step for s in record.steps])
    assert record.total == 100_003
    assert 200 < len(kept) <= 1002
    assert kept[0] == 0
    assert kept[-1] == 100_002
    gaps = np.diff(kept)[:-1]
    assert gaps.min() == gaps.max()
    assert record.notes == (f"{100_003 - len(kept)} of 100003 steps were thinned out evenly to bound memory",)


def test_rare_steps_do_not_vanish_among_many():
    def stream():
        for i in range(50_000):
            if i in (33_333, 40_001):
                yield Step(i, loss=math.nan)
            else:
                yield Step(i, loss=1.0, eval_loss=2.0 if i % 1000 == 7 else None)

    record = Record.of(Facts(), stream(), limit=1000)
    kept = {s.step for s in record.steps}
    assert {33_332, 33_333, 40_001} <= kept
    assert record.column("eval_loss")[0].tolist() == [i for i in range(50_000) if i % 1000 == 7]


def test_nothing_but_nan_is_bounded_too():
    record = Record.of(Facts(), (Step(i, loss=math.nan) for i in range(20_000)), limit=100)
    assert len(record) <= 102
    assert record.steps[0].step == 0
    assert record.steps[-1].step == 19_999


def test_steps_are_kept_in_the_order_in_which_they_came():
    record = Record.of(Facts(), [Step(0), Step(1), Step(0), Step(1)])
    assert [s.step for s in record.steps] == [0, 1, 0, 1]


def test_a_limit_too_small_is_refused():
    with pytest.raises(ValueError, match="limit is 3: a record keeps at least 16 steps"):
        Record(limit=3)
