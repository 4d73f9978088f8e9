"""erf and lgamma, which the array API lacks: every library that has them gives the numbers of 60 digits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from backends.libraries import DIFFERENTIATING, Jax, Keras, Library, MPArray, Strict, TensorFlow, Torch
from lossmith import ops

POINTS = np.array([1e-8, 0.03, 0.5, 0.999, 1.0, 1.4616, 2.0, 2.75, 7.5, 40.0])
WITH_ERF = pytest.mark.parametrize("kind", [Torch, Jax, TensorFlow, Keras, MPArray], ids=lambda kind: kind.name)
WITH_LGAMMA = pytest.mark.parametrize("kind", [Torch, Jax, TensorFlow, MPArray], ids=lambda kind: kind.name)
DIFFERENTIABLE = pytest.mark.parametrize("kind", DIFFERENTIATING, ids=lambda kind: kind.name)


def _exact(function: Any, points: np.ndarray) -> np.ndarray:
    with mp.workdps(60):
        return np.array([float(function(mp.mpf(x))) for x in points])


@WITH_ERF
def test_erf(kind: type[Library]) -> None:
    library = kind()
    points = np.r_[POINTS, -POINTS, 0.0, np.inf, -np.inf, np.nan]
    found = library.back(ops.erf(library.array(points)))
    np.testing.assert_allclose(found, _exact(mp.erf, points), rtol=1e-14)


@WITH_LGAMMA
def test_lgamma(kind: type[Library]) -> None:
    library = kind()
    found = library.back(ops.lgamma(library.array(POINTS)))
    np.testing.assert_allclose(found, _exact(mp.loggamma, POINTS), rtol=1e-12, atol=1e-15)
    ends = library.back(ops.lgamma(library.array(np.array([0.0, np.inf, np.nan]))))
    np.testing.assert_array_equal(ends, [np.inf, np.inf, np.nan])


def test_numpy_and_plain_numbers() -> None:
    np.testing.assert_allclose(ops.erf(POINTS), _exact(mp.erf, POINTS), rtol=1e-15)
    np.testing.assert_allclose(ops.lgamma(POINTS), _exact(mp.loggamma, POINTS), rtol=1e-13, atol=1e-15)
    assert ops.lgamma(POINTS.astype(np.float32)).dtype == ops.erf(POINTS.astype(np.float32)).dtype == np.float32
    assert abs(float(ops.lgamma(4.0)) - np.log(6.0)) < 1e-15


def test_sixty_digits() -> None:
    library = MPArray()
    with mp.workdps(60):
        x = library.array(np.array([[0.25], [1.75]]))
        for word, exact in ((ops.erf, mp.erf), (ops.lgamma, mp.loggamma)):
            found = word(x)
            assert found.shape == (2, 1)
            assert all(
                abs(a - exact(mp.mpf(b))) < mp.mpf(10) ** -58
                for a, b in zip(found._data.flat, [0.25, 1.75], strict=True)
            )


@WITH_LGAMMA
def test_lgamma_of_negative_numbers_is_the_librarys(kind: type[Library]) -> None:
    library = kind()
    found = library.back(ops.lgamma(library.array(np.array([-0.5, -2.25]))))
    np.testing.assert_allclose(found, _exact(lambda x: mp.log(abs(mp.gamma(x))), [-0.5, -2.25]), rtol=1e-13)


@DIFFERENTIABLE
def test_the_libraries_differentiate_them(kind: type[Library]) -> None:
    library = kind()
    x = np.array([0.3, 1.2, 4.0])
    np.testing.assert_allclose(library.gradient(ops.erf, x), 2 / np.sqrt(np.pi) * np.exp(-x * x), rtol=1e-12)
    np.testing.assert_allclose(library.gradient(ops.lgamma, x), _exact(mp.digamma, x), rtol=1e-10)


def test_erf_of_a_symbolic_tensor() -> None:
    keras = Keras().keras
    assert ops.erf(keras.KerasTensor((3, 2))).shape == (3, 2)


def test_who_has_none_says_so() -> None:
    strict, keras = Strict(), Keras().keras
    with pytest.raises(TypeError, match=r"array_api_strict has no erf and lgamma; give NumPy, .* arrays"):
        ops.erf(strict.array(POINTS))
    with pytest.raises(TypeError, match=r"keras.ops has no lgamma; compute on"):
        ops.lgamma(keras.KerasTensor((3,)))


def test_scipy_is_not_imported_before_it_is_asked_for() -> None:
    text = (
        "import sys; from lossmith import ops; before = 'scipy' in sys.modules;"
        "ops.erf(0.5); print(before, 'scipy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "True"]
