"""NT-Xent and InfoNCE of large float32 batches: float32 products against float64 throughout."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import jit, pool
from lossmith.losses.embedding import facing_single, mirrored_single
from structured.test_tiles import labels_of

pytestmark = pytest.mark.skipif(not jit.available(), reason="numba compiles nothing here")
TEMPERATURES = (0.05, 0.07, 0.5, 3.0)


def batch(kind="views", n=600, d=24, seed=0):
    rng = np.random.default_rng(seed)
    return labels_of(kind, n, rng), rng.normal(size=(n, d)).astype(np.float32)


def errors(y, f, temperature=0.07, weight=None):
    """Errors of value and gradient, relative to the value and to the largest slope."""
    loss = lm.NTXent(temperature=temperature)
    found = loss.value_and_gradient(y, f, None, weight)
    true = loss.value_and_gradient(y, f.astype(float), None, weight)
    assert found[0].dtype == found[1].dtype == np.float32
    largest = [np.abs(part).max() or 1.0 for part in true]
    return [np.abs(a.astype(float) - b).max() / top for a, b, top in zip(found, true, largest, strict=True)]


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("kind", ["few", "uneven", "views", "one", "alone"])
def test_float32_keeps_five_digits(kind, temperature):
    for n, d in ((90, 64), (257, 11), (800, 24)):
        value, slope = errors(*batch(kind, n, d), temperature)
        assert value < 1e-6
        assert slope < 4e-6


@pytest.mark.parametrize("spread", [1.0, 1e-1, 1e-2, 1e-3])
def test_a_batch_that_collapses_to_one_direction_keeps_its_digits(spread):
    y, f = batch()
    value, slope = errors(y, (1 + spread * f).astype(np.float32))
    assert value < 1e-6
    assert slope < 4e-6


def test_cosines_of_unit_vectors_would_not(monkeypatch):
    """The control: with the mean left in the points, float32 products lose them."""
    whole = mirrored_single._batch

    class Still(np.ndarray):
        def mean(self, axis=None):
            return np.zeros(self.shape[1])

    def uncentred(points, *rest):
        return whole(type(points)(points.u.view(Still), points.unit, points.lost), *rest)

    y, f = batch()
    monkeypatch.setattr(mirrored_single, "_batch", uncentred)
    assert errors(y, (1 + 1e-3 * f).astype(np.float32))[1] > 1e-4
    assert errors(y, f)[1] < 4e-6


def test_the_comparison_sees_a_small_difference():
    y, f = batch()
    loss, moved = lm.NTXent(), f.copy()
    moved[0] *= np.linspace(1, 1 + 1e-3, f.shape[1], dtype=np.float32)
    true, found = loss.gradient(y, f.astype(float)), loss.gradient(y, moved)
    assert np.abs(found - true).max() > 4e-6 * np.abs(true).max()


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e30])
def test_zeros_duplicates_and_lengths(size):
    y, f = batch("few")
    f[::5], f[1::7] = f[0], 0.0
    assert max(errors(y, (f * size).astype(np.float32))) < 4e-6


def test_weights():
    y, f = batch("uneven")
    rng = np.random.default_rng(1)
    for weight in (rng.integers(0, 3, len(y)).astype(float), 2.0 ** rng.integers(-19, 20, len(y)), np.zeros(len(y))):
        assert max(errors(y, f, 0.07, weight)) < 4e-6


@pytest.mark.parametrize("temperature", [0.049, 0.01])
def test_cold_batches_are_rounded_once(temperature):
    assert max(errors(*batch(), temperature)) < 1e-7


def test_weights_far_apart_are_taken_in_float64():
    y, f = batch()
    assert max(errors(y, f, 0.07, np.where(y % 2, 1.0, 2.0**-30))) < 1e-7


@pytest.mark.parametrize("kind", ["few", "views"])
def test_the_number_of_threads_does_not_change_a_bit(kind, monkeypatch):
    y, f = batch(kind, 1300)
    found = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(pool, "threads", lambda n=threads: n)
        found.append(lm.NTXent().value_and_gradient(y, f))
    for value, gradient in found[1:]:
        assert value == found[0][0]
        np.testing.assert_array_equal(gradient, found[0][1])


def test_a_value_alone_is_the_same_value():
    y, f = batch("few")
    for reduction in ("mean", "sum", "none"):
        value = lm.NTXent()(y, f, reduction=reduction)
        assert (value == lm.NTXent().value_and_gradient(y, f, reduction=reduction)[0]).all()


def test_predictions_are_not_written_to():
    y, f = batch()
    before = f.copy()
    f.flags.writeable = False
    lm.NTXent().value_and_gradient(y, f)
    np.testing.assert_array_equal(f, before)


# --- InfoNCE ----------------------------------------------------------------------------------------------


def rows(n=600, d=24, seed=0, keys=None):
    """Pairs of a query and a key that is like it; with ``keys``, only so many different ones."""
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(2 * n, d)).astype(np.float32)
    f[n:] += f[:n]
    key = np.arange(n) if keys is None else rng.integers(0, keys, n)
    return np.stack([rng.permutation(n), n + key], axis=1), f


def row_errors(y, f, loss, weight=None):
    found, true = loss.value_and_gradient(y, f, None, weight), loss.value_and_gradient(y, f.astype(float), None, weight)
    assert found[0].dtype == found[1].dtype == np.float32
    largest = [np.abs(part).max() or 1.0 for part in true]
    return [np.abs(a.astype(float) - b).max() / top for a, b, top in zip(found, true, largest, strict=True)]


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(("keys", "symmetric"), [(None, False), (None, True), (50, False), (50, True), (1, False)])
def test_facing_float32_keeps_five_digits(temperature, symmetric, keys):
    loss = lm.InfoNCE(temperature=temperature, symmetric=symmetric)
    for n, d in ((97, 64), (257, 11), (700, 24)):
        value, slope = row_errors(*rows(n, d, keys=keys), loss)
        assert value < 1e-6
        assert slope < 4e-6


@pytest.mark.parametrize("spread", [1.0, 1e-1, 1e-2, 1e-3])
def test_facing_collapsed_batches_keep_their_digits(spread):
    y, f = rows()
    value, slope = row_errors(y, (1 + spread * f).astype(np.float32), lm.InfoNCE())
    assert value < 1e-6
    assert slope < 4e-6


def test_facing_needs_the_centre(monkeypatch):
    """The control: without it, a collapsed batch loses digits."""
    whole = facing_single._batch

    class Still(np.ndarray):
        def mean(self, axis=None):
            return np.zeros(self.shape[1])

    def uncentred(one, other, *rest):
        return whole(*(type(one)(p.u.view(Still), p.unit, p.lost) for p in (one, other)), *rest)

    y, f = rows()
    monkeypatch.setattr(facing_single, "_batch", uncentred)
    assert row_errors(y, (1 + 1e-3 * f).astype(np.float32), lm.InfoNCE())[1] > 1e-4
    assert row_errors(y, f, lm.InfoNCE())[1] < 4e-6


def test_facing_zeros_duplicates_and_weights():
    y, f = rows(keys=300)
    f[::5], f[1::7] = f[0], 0.0
    rng = np.random.default_rng(1)
    for weight in (None, rng.integers(0, 3, len(y)).astype(float), 2.0 ** rng.integers(-19, 20, len(y))):
        assert max(row_errors(y, f, lm.InfoNCE(), weight)) < 4e-6
    assert max(row_errors(y, f, lm.InfoNCE(temperature=0.049))) < 1e-7


def test_facing_threads_values_and_inputs(monkeypatch):
    """No bit changes with the threads, a value alone is the same, predictions stay as they are."""
    y, f = rows(1300)
    f.flags.writeable = False
    found = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(pool, "threads", lambda n=threads: n)
        found.append(lm.InfoNCE().value_and_gradient(y, f))
    for value, gradient in found[1:]:
        assert value == found[0][0] == lm.InfoNCE()(y, f)
        np.testing.assert_array_equal(gradient, found[0][1])
