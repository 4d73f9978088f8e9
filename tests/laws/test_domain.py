"""Bad input gives one ValueError that names the argument, what it held, and the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import CASES, ELEMENTWISE, ROWS, Case

per_sample = [*ELEMENTWISE, *ROWS]
every = pytest.mark.parametrize("case", per_sample, ids=lambda case: f"{case.id}-{case.draw.__name__}")
SIGNS, BINARY, COUNTS = (lm.Hinge(), lm.SquaredHinge()), (lm.BinaryCrossEntropy(), lm.BinaryFocal()), (lm.PoissonNLL(),)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@every
def test_targets_must_be_finite(case: Case, bad: float) -> None:
    y, f = case.sample(5)
    y = y.astype(float)
    y.reshape(5, -1)[3, 0] = bad
    for method in (case.loss, case.loss.gradient, case.loss.value_and_gradient):
        with pytest.raises(ValueError, match="y_true"):
            method(y, f)


@pytest.mark.parametrize(
    ("loss", "bad", "message"),
    [
        *[(loss, 0.0, r"y_true holds 0 at index 1 \(1 of 3.*labels -1 or 1; .*2 \* y - 1") for loss in SIGNS],
        *[(loss, 0.5, r"y_true holds 0.5 at index 1") for loss in SIGNS],
        *[(loss, -1.0, r"y_true holds -1 at index 1 .*numbers in \[0, 1\]") for loss in BINARY],
        *[(loss, 2.0, r"y_true holds 2 at index 1 .*numbers in \[0, 1\]") for loss in BINARY],
        *[(loss, -1.0, r"y_true holds -1 at index 1 .*numbers >= 0") for loss in COUNTS],
        *[(loss, -1e-300, r"y_true holds -1e-300 at index 1") for loss in COUNTS],
    ],
    ids=lambda item: repr(item),
)
def test_targets_outside_the_coding(loss: Any, bad: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"{type(loss).__name__}: {message}"):
        loss([1.0, bad, 1.0], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("bad", [-1e-9, 1.0000001, np.inf, -np.inf])
@pytest.mark.parametrize("loss", [lm.BinaryCrossEntropy("probabilities"), lm.BinaryFocal("probabilities")], ids=repr)
def test_probabilities_outside_the_unit_interval(loss: Any, bad: float) -> None:
    with pytest.raises(ValueError, match=r"y_pred holds .* at index 2 .*numbers in \[0, 1\]"):
        loss([0, 1, 1], [0.5, 0.5, bad])


def test_rates_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match=r"y_pred holds -1 at index 0 .*numbers >= 0"):
        lm.PoissonNLL("rate")([1], [-1.0])
    with pytest.raises(ValueError, match=r"y_pred\[..., 1\] holds 0 at index 0"):
        lm.GaussianNLL("variance")([1.0], [[0.0, 0.0]])


@every
def test_nan_predictions_pass_through(case: Case) -> None:
    """A prediction of NaN is the model's fault, and shows as NaN; it is no error."""
    y, f = case.sample(4)
    f = f.copy()
    f[1] = np.nan
    values = case.loss(y, f, reduction="none")
    assert np.isnan(values).tolist() == [False, True, False, False]
    assert np.isnan(case.loss(y, f))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, -1, 1], "sample_weight holds negative, infinite or NaN numbers; give finite numbers >= 0"),
        ([1, np.nan, 1], "sample_weight holds negative, infinite or NaN"),
        ([1, np.inf, 1], "sample_weight holds negative, infinite or NaN"),
        ([1, 1], r"sample_weight has shape \(2,\); give one weight"),
        ([[1], [1], [1]], r"sample_weight has shape \(3, 1\)"),
        (1.0, r"sample_weight has shape \(\)"),
    ],
    ids=repr,
)
@every
def test_bad_weights(case: Case, weight: Any, message: str) -> None:
    y, f = case.sample(3)
    with pytest.raises(ValueError, match=message):
        case.loss(y, f, weight)


@every
def test_empty_arrays(case: Case) -> None:
    y, f = case.sample(3)
    for method in (case.loss, case.loss.gradient, case.loss.hessian):
        with pytest.raises(ValueError, match=r"is empty \(shape \(0,.*give at least one sample"):
            method(y[:0], f[:0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.uint64])
def test_narrow_integer_predictions(dtype: Any) -> None:
    """200 - 100 in uint8 wraps around."""
    with pytest.raises(ValueError, match=rf"y_pred has dtype {np.dtype(dtype)}.*wrap around.*y_pred.astype\(float\)"):
        lm.MeanSquaredError()(np.zeros(2), np.zeros(2, dtype))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, bool])
def test_integer_targets_do_not_wrap(dtype: Any) -> None:
    y = np.array([0, 1], dtype)
    assert lm.MeanSquaredError()(y, np.array([-3.0, 5.0]), reduction="sum") == 25
    assert lm.MeanSquaredError()(y, np.array([3, 5])) == 12.5


def test_whole_numbers_beyond_the_dtype() -> None:
    with pytest.raises(ValueError, match=r"y_true of dtype int64 holds whole numbers beyond 9007199254740992"):
        lm.MeanSquaredError()([2**53 + 1], [0.0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is None"),
        (["a", "b"], "give numbers"),
        ([1 + 2j, 0], "dtype complex128"),
        (np.array([1, None], object), "dtype object"),
        (np.array(["2020-01-01"], "M8[D]"), "dtype datetime64"),
    ],
    ids=repr,
)
def test_things_that_are_no_numbers(value: Any, message: str) -> None:
    for arguments, name in (((value, [0.0, 1.0]), "y_true"), (([0.0, 1.0], value), "y_pred")):
        with pytest.raises(TypeError, match=f"{name}.*{message}"):
            lm.MeanSquaredError()(*arguments)


def test_ragged_rows() -> None:
    with pytest.raises(ValueError, match=r"y_true is ragged.*give a rectangular array"):
        lm.MeanSquaredError()([[1.0], [1.0, 2.0]], [0.0, 1.0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}-{case.draw.__name__}")
def test_unknown_reductions(case: Case) -> None:
    y, f = case.sample(3)
    with pytest.raises(ValueError, match="reduction='average' is not accepted; give 'mean', 'sum' or 'none'"):
        case.loss(y, f, reduction="average")


@pytest.mark.parametrize("labels", [[0, 3], [0, -1], [0, 1.5]], ids=repr)
def test_labels_outside_the_classes(labels: Any) -> None:
    for loss in (lm.CategoricalCrossEntropy(), lm.CategoricalFocal()):
        with pytest.raises(ValueError, match=r"y_true holds the label .*whole numbers 0 \.\.\. 2"):
            loss(labels, np.zeros((2, 3)))


@pytest.mark.parametrize("row", [[0.5, 0.4], [1.2, -0.2], [np.nan, 1.0]], ids=repr)
def test_target_rows_must_be_distributions(row: Any) -> None:
    for loss in (lm.CategoricalCrossEntropy(), lm.KLDivergence()):
        with pytest.raises(ValueError, match=r"y_true row 1 is no distribution"):
            loss([[0.5, 0.5], row], np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"y_pred row 0 is no distribution .*inputs='logits'"):
        lm.CategoricalCrossEntropy("probabilities")([0], [[3.0, -2.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lm.Huber(delta=0), r"Huber: delta=0 is not accepted; give a finite number > 0"),
        (lambda: lm.Huber(delta=np.inf), "delta=inf"),
        (lambda: lm.Huber(delta=np.nan), "delta=nan"),
        (lambda: lm.Huber(delta="1"), "delta='1'"),
        (lambda: lm.Huber(delta=True), "delta=True"),
        (lambda: lm.Huber(delta=None), "delta=None"),
        (lambda: lm.Quantile(q=0), "strictly between 0 and 1"),
        (lambda: lm.Quantile(q=1), "strictly between 0 and 1"),
        (lambda: lm.Tukey(c=-1), "c=-1"),
        (lambda: lm.BinaryFocal(gamma=-0.1), "give a finite number >= 0"),
        (lambda: lm.BinaryFocal(alpha=1.0), "alpha=1.0.*, or None"),
        (lambda: lm.BinaryCrossEntropy(inputs="logit"), "inputs='logit' is not accepted; give 'logits' or 'prob"),
        (lambda: lm.CategoricalCrossEntropy(label_smoothing=1), ">= 0 and < 1"),
        (lambda: lm.CategoricalCrossEntropy(class_weights=(1, -1)), "class_weights"),
        (lambda: lm.CategoricalCrossEntropy(class_weights=(0, 0)), "class_weights"),
        (lambda: lm.PoissonNLL(inputs=None), "inputs=None"),
        (lambda: lm.GaussianNLL(full=1), "give True or False"),
        (lambda: lm.NegativeLogLikelihood("no_such_distribution"), "distribution='no_such_distribution'"),
    ],
)
def test_parameters_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_class_weights_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="2 class weights were given and y_pred has 3 columns"):
        lm.CategoricalCrossEntropy(class_weights=(1, 2))([0], np.zeros((1, 3)))


def test_rows_want_rows() -> None:
    for loss in (lm.CategoricalCrossEntropy(), lm.GaussianNLL()):
        with pytest.raises(ValueError, match=r"y_pred has shape \(3,\); give one row of predictions"):
            loss([0, 1, 0], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"y_true has shape \(3, 1\) and y_pred has shape \(3, 2\)"):
        lm.GaussianNLL()(np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"give 2 columns"):
        lm.GaussianNLL()(np.zeros(3), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="broadcast=True is for elementwise losses"):
        lm.CategoricalCrossEntropy()([0], np.zeros((1, 3)), broadcast=True)
