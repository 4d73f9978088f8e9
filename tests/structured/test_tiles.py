"""Compiled judges against NumPy's, batches from ordinary to hostile; tiles, threads, memory, small inputs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import compiled, pool
from lossmith.losses.embedding import distances, tiles

LOSSES = [
    *(
        lm.Triplet(distance=d, selection=s)
        for d in ("squared_euclidean", "euclidean", "cosine")
        for s in ("all", "hard")
    ),
    lm.Triplet(selection="semi_hard"),
    lm.Triplet(distance="euclidean", selection="semi_hard", soft=True),
    lm.Triplet(soft=True, margin=0.0),
    lm.Triplet(average="active"),
    lm.Triplet(soft=True, average="active"),
    lm.Triplet(selection="semi_hard", average="active"),
    lm.Contrastive(margin=3.0),
    lm.Contrastive(distance="cosine", margin=1.2),
    lm.NTXent(),
    lm.NTXent(temperature=0.01),
    lm.NTXent(temperature=0.003),
]
PAIRED = [lm.InfoNCE(temperature=0.1), lm.InfoNCE(symmetric=True)]
every_loss = pytest.mark.parametrize("loss", [*LOSSES, *PAIRED], ids=repr)


def labels_of(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    return {
        "few": rng.integers(0, 3, n),
        "uneven": (rng.exponential(2.0, n)).astype(int),
        "views": rng.permutation(np.arange(n) % (n // 2)),
        "one": np.zeros(n, int),
        "alone": np.arange(n),
    }[kind]


def batch(loss, kind="few", n=43, d=9, seed=0):
    rng = np.random.default_rng(seed)
    if isinstance(loss, lm.InfoNCE):
        pairs = np.stack([rng.permutation(n), n + (rng.integers(0, n, n) if kind == "few" else np.arange(n))], axis=1)
        return pairs, rng.normal(size=(2 * n, d))
    return labels_of(kind, n, rng), rng.normal(size=(n, d))


def by(path, monkeypatch, call):
    """What a call gives on one of the two paths."""
    with monkeypatch.context() as patch:
        for module in (tiles, distances):
            patch.setattr(module, "_COMPILED_FROM", {"compiled": 0, "numpy": np.inf}[path])
        return call()


def agree(loss, y, f, monkeypatch, weight=None, rtol=1e-12, floor=0.0):
    for reduction in ("mean", "none"):
        both = [
            by(path, monkeypatch, lambda r=reduction: loss.value_and_gradient(y, f, None, weight, r))
            for path in ("compiled", "numpy")
        ]
        for found, true in zip(*both, strict=True):
            np.testing.assert_allclose(found, true, rtol=rtol, atol=rtol * np.abs(true).max() + floor)


# --- two texts, the same numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["few", "uneven", "views", "one", "alone"])
@every_loss
def test_paths_agree(loss, kind, monkeypatch):
    agree(loss, *batch(loss, kind), monkeypatch)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 2), (17, 5), (64, 8), (101, 3)])
@every_loss
def test_paths_agree_at_any_shape(loss, n, d, monkeypatch):
    agree(loss, *batch(loss, "few", n, d), monkeypatch)


@pytest.mark.parametrize("distance", ["squared_euclidean", "euclidean", "cosine"])
@pytest.mark.parametrize("loss", [lm.Triplet, lm.Contrastive], ids=lambda loss: loss.__name__)
def test_paths_agree_on_given_rows(loss, distance, monkeypatch):
    """Rows that come often, stand beside themselves, coincide with others or are 0."""
    if loss is lm.Contrastive and distance == "squared_euclidean":
        pytest.skip("contrastive distances are not squared")
    rng = np.random.default_rng(0)
    y, f = rng.integers(0, 30, (80, 3)), rng.normal(size=(30, 40))
    y[:, 2] %= 2 if loss is lm.Contrastive else 30
    f[3], f[4] = f[5], 0.0
    weight = rng.integers(0, 3, 80).astype(float)
    for weights in (None, weight):
        agree(loss(distance=distance, margin=2.0), y, f, monkeypatch, weights)


@every_loss
def test_paths_agree_with_weights(loss, monkeypatch):
    y, f = batch(loss)
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float)
    agree(loss, y, f, monkeypatch, weight)
    agree(loss, y, f, monkeypatch, weight * 1e-200)


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e-6, 1e100])
@every_loss
def test_paths_agree_at_any_scale(loss, size, monkeypatch):
    if getattr(loss, "distance", "cosine") == "squared_euclidean" and size == 1e-300:
        pytest.skip("squares vanish")
    y, f = batch(loss)
    agree(loss, y, f * size, monkeypatch)


@every_loss
def test_paths_agree_on_duplicates_zeros_and_ties(loss, monkeypatch):
    """Integers make distances equal and the order of ties matter; cosines are equal up to rounding only."""
    y, f = batch(loss)
    f = np.round(f)
    f[::5] = f[0]
    f[1::7] = 0.0
    if not (isinstance(loss, lm.Triplet) and loss.distance == "cosine"):
        agree(loss, y, f, monkeypatch)
    for same in (np.ones_like(f), np.zeros_like(f)):
        agree(loss, y, same, monkeypatch, floor=1e-12)


@pytest.mark.parametrize("path", ["compiled", "numpy"])
@every_loss
def test_nan_makes_all_nan_unless_it_has_no_weight(loss, path, monkeypatch):
    y, f = batch(loss, "views")
    f[y[3] if y.ndim == 2 else 3] = np.nan
    value, gradient = by(path, monkeypatch, lambda: loss.value_and_gradient(y, f))
    assert np.isnan(value)
    assert np.isnan(gradient).all()
    weight = np.ones(len(y))
    weight[3] = 0.0
    value, gradient = by(path, monkeypatch, lambda: loss.value_and_gradient(y, f, None, weight))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@every_loss
def test_the_comparison_sees_a_small_difference(loss):
    y, f = batch(loss)
    other = f.copy()
    other[y.flat[0]] *= 1 + 1e-9
    other[y.flat[0], 0] += 1e-9
    value, gradient = loss.value_and_gradient(y, f)
    moved, slope = loss.value_and_gradient(y, other)
    assert not np.allclose(slope, gradient, rtol=1e-12, atol=1e-12 * np.abs(gradient).max()) or moved != value


# --- tiles and threads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["compiled", "numpy"])
@every_loss
def test_tiles_do_not_change_the_numbers(loss, path, monkeypatch):
    y, f = batch(loss, n=50)
    whole = by(path, monkeypatch, lambda: loss.value_and_gradient(y, f))
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "_TILE", 1)
        patch.setattr(tiles, "_ROWS", 7)
        parts = by(path, monkeypatch, lambda: loss.value_and_gradient(y, f))
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-14)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12, atol=1e-14 * np.abs(whole[1]).max())


@every_loss
def test_the_number_of_threads_does_not_change_a_bit(loss, monkeypatch):
    numba = pytest.importorskip("numba")
    y, f = batch(loss, n=90)
    usual = by("compiled", monkeypatch, lambda: loss.value_and_gradient(y, f))
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = by("compiled", monkeypatch, lambda: loss.value_and_gradient(y, f))
    finally:
        numba.set_num_threads(before)
    assert alone[0] == usual[0]
    assert (alone[1] == usual[1]).all()


@pytest.mark.parametrize("path", ["compiled", "numpy"])
@every_loss
def test_a_value_alone_is_the_same_value(loss, path, monkeypatch):
    y, f = batch(loss)
    for reduction in ("mean", "none"):
        value = by(path, monkeypatch, lambda r=reduction: loss(y, f, reduction=r))
        both = by(path, monkeypatch, lambda r=reduction: loss.value_and_gradient(y, f, reduction=r))
        assert (value == both[0]).all()


@every_loss
def test_large_float32_batches_are_rounded_once(loss):
    if isinstance(loss, (lm.NTXent, lm.InfoNCE)) and loss.temperature >= 0.05:
        pytest.skip("computed in float32: see test_single")
    y, f = batch(loss, n=91, d=64)
    f = f.astype(np.float32)
    value, gradient = loss.value_and_gradient(y, f)
    wide = loss.value_and_gradient(y, f.astype(np.float64))
    assert value.dtype == gradient.dtype == np.float32
    assert value == np.float32(wide[0])
    assert (gradient == wide[1].astype(np.float32)).all()


@every_loss
def test_any_number_of_threads_gives_the_same_bits(loss, monkeypatch):
    y, f = batch(loss, n=91, d=64)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(pool, "threads", lambda n=threads: n)
        value, gradient = loss.value_and_gradient(y, f)
        found.append((float(value), gradient.tobytes()))
    assert found[0] == found[1] == found[2]


@every_loss
def test_large_batches_may_be_strided_and_read_only(loss):
    y, f = batch(loss, n=91, d=64)
    true = loss.value_and_gradient(y, f)
    turned, sparse = np.asfortranarray(f), np.repeat(f, 2, axis=1)[:, ::2]
    for other in (turned, sparse):
        other.flags.writeable = False
        found = loss.value_and_gradient(y, other)
        assert found[0] == true[0]
        assert (found[1] == true[1]).all()


# --- which path --------------------------------------------------------------------------------------------------


@every_loss
def test_small_batches_never_wait_for_a_compiler(loss, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a compiled loop ran")

    monkeypatch.setattr(compiled.Compiled, "__call__", refuse)
    loss.value_and_gradient(*batch(loss, n=60, d=64))
    with pytest.raises(AssertionError, match="a compiled loop ran"):
        loss.value_and_gradient(*batch(loss, n=91, d=64))


def test_without_numba_numpy_does_all(monkeypatch):
    monkeypatch.setattr(tiles.jit, "available", lambda: False)
    assert not tiles.compiles(10**6, 100)


# --- memory ---------------------------------------------------------------------------------------------------------


def peak(loss, n, d=16):
    y, f = batch(loss, "views", n, d)
    tracemalloc.start()
    loss.value_and_gradient(y, f)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize(
    "loss", [lm.NTXent(), lm.InfoNCE(), lm.Contrastive(), lm.Triplet(), lm.Triplet(selection="semi_hard")], ids=repr
)
def test_memory_grows_as_n(loss):
    n = 3000
    peak(loss, n)
    once, twice = peak(loss, n), peak(loss, 2 * n)
    assert twice < 2.5 * once
    assert twice < 8 * (2 * n) ** 2 / 4, "less than a quarter of a matrix of all pairs"
