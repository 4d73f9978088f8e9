"""One text per formula: every array library gives NumPy's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from backends.libraries import DIFFERENTIATING, LIBRARIES, Keras, Library, MPArray, Torch
from catalogue import ELEMENTWISE, ROWS, Case, RowCase

EXACT_ROWS = [case for case in ROWS if not case.differences]
every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
rows = pytest.mark.parametrize("case", EXACT_ROWS, ids=[f"{c.id}-{c.draw.__name__}" for c in EXACT_ROWS])


@pytest.fixture(params=LIBRARIES, ids=lambda kind: kind.name)
def library(request: pytest.FixtureRequest) -> Library:
    made: Library = request.param()
    return made


def _same(got: Any, want: Any, label: str) -> None:
    scale = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15 * scale, err_msg=label)


@every
def test_elementwise_numbers(library: Library, case: Case) -> None:
    y, f = case.sample(12, seed=5)
    ours, theirs = library.array(y), library.array(f)
    _same(library.back(case.loss(ours, theirs, reduction="none")), case.loss(y, f, reduction="none"), "value")
    _same(library.back(case.loss.gradient(ours, theirs)), case.loss.gradient(y, f), "gradient")
    _same(library.back(case.loss.hessian(ours, theirs)), case.loss.hessian(y, f), "Hessian")


@every
def test_reductions_and_weights(library: Library, case: Case) -> None:
    y, f = case.sample(6, seed=6)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 0.0])
    ours, theirs, weighing = (library.array(a) for a in (y, f, weight))
    for reduction in ("mean", "sum", "none"):
        got = library.back(case.loss(ours, theirs, weighing, reduction))
        _same(got, np.asarray(case.loss(y, f, weight, reduction)), reduction)
        _same(
            library.back(case.loss(ours, theirs, reduction=reduction)), np.asarray(case.loss(y, f, None, reduction)), ""
        )


@rows
def test_row_wise_numbers(library: Library, case: RowCase) -> None:
    y, f = case.sample(5, seed=5)
    ours, theirs = library.array(y), library.array(f)
    _same(library.back(case.loss(ours, theirs, reduction="none")), case.loss(y, f, reduction="none"), "value")
    _same(library.back(case.loss(ours, theirs)), np.asarray(case.loss(y, f)), "mean")
    _same(library.back(case.loss.gradient(ours, theirs)), case.loss.gradient(y, f), "gradient")
    _same(library.back(case.loss.hessian(ours, theirs)), case.loss.hessian(y, f), "Hessian")
    v = np.random.default_rng(0).normal(size=f.shape)
    got = library.back(case.loss.hessian_vector_product(ours, theirs, library.array(v)))
    _same(got, case.loss.hessian_vector_product(y, f, v), "product")


@pytest.mark.parametrize("loss", [lm.CategoricalCrossEntropy(), lm.MultiMargin()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("kind", [*DIFFERENTIATING, Keras], ids=lambda kind: kind.name)
def test_labels_of_one_byte_name_any_class(kind: type[Library], loss: Any) -> None:
    """300 classes: counted in uint8, class 261 would be class 5."""
    library = kind()
    y, f = np.array([5, 200, 7], np.uint8), np.random.default_rng(0).normal(size=(3, 300))
    _same(library.back(loss(library.array(y), library.array(f))), np.asarray(loss(y, f)), "mean")


def test_results_stay_in_the_library(library: Library) -> None:
    y, f = library.array(np.zeros(3)), library.array(np.ones(3))
    kind = type(f) if library.name != "keras" else type(f + 0.0)
    for result in (lm.Huber()(y, f), lm.Huber().gradient(y, f), *lm.Huber().value_gradient_hessian(y, f)):
        assert isinstance(result, kind)


def test_libraries_do_not_mix(library: Library) -> None:
    with pytest.raises(TypeError, match=r"y_true is .* and y_pred is .*; give both from one library"):
        lm.MeanSquaredError()(np.zeros(3), library.array(np.ones(3)))
    with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\).*broadcast=True"):
        lm.MeanSquaredError()(library.array(np.zeros(3)), library.array(np.ones((3, 1))))


@pytest.mark.parametrize("loss", [lm.MeanSquaredError(), lm.BinaryCrossEntropy(), lm.PoissonNLL()], ids=repr)
def test_sixty_digits(loss: Any) -> None:
    """In 60-digit arithmetic the same text has 60 digits: nothing in it is a rounded constant."""
    library = MPArray()
    mp = library.xp.mp
    with mp.workdps(60):
        got = loss(library.array([1.0]), library.array([0.3]), reduction="none")._data[0]
        z = mp.mpf(0.3)
        exact = {
            "mse": (z - 1) ** 2,
            "bce": mp.log(1 + mp.exp(-z)),
            "poisson_nll": mp.exp(z) - z,
        }[loss.name]
        assert abs(got - exact) < mp.mpf(10) ** -57


def test_torch_float32_stays_float32() -> None:
    library = Torch()
    torch = library.xp
    y, f = torch.tensor([0.0, 1.0]), torch.tensor([0.5, -0.5])
    for case in ELEMENTWISE:
        if case.loss.prediction_domain.contains(f.numpy()).all() and case.loss.domain.contains(y.numpy()).all():
            assert case.loss(y, f).dtype == torch.float32
            assert {part.dtype for part in case.loss.value_gradient_hessian(y, f)} == {torch.float32}
