"""Triplet and contrastive losses: kinks, coinciding points, scales, memory, larger batches, peers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import lossmith as lm
from lossmith.losses.embedding import tiles

DISTANCES = ("squared_euclidean", "euclidean", "cosine")
SELECTIONS = ("all", "hard", "semi_hard")


def cloud(n=30, d=5, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, n), rng.normal(size=(n, d))


# --- given triplets and pairs -----------------------------------------------------------------------------


def test_the_articles_function():
    rng = np.random.default_rng(0)
    a, p, n = rng.normal(size=(3, 7, 4))
    article = np.maximum(((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 0.2, 0.0)
    y_true, y_pred = lm.Triplet.given(a, p, n)
    np.testing.assert_allclose(lm.Triplet()(y_true, y_pred, reduction="none"), article, rtol=1e-13)
    gradient = lm.Triplet().gradient(y_true, y_pred, reduction="sum").reshape(3, 7, 4)
    active = (article > 0)[:, None]
    np.testing.assert_allclose(gradient, np.where(active, 2 * np.array([n - p, p - a, a - n]), 0.0), rtol=1e-13)


def test_the_articles_contrastive_formula():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 4)) / 4
    y = np.arange(7) % 2
    d = np.sqrt(((first - second) ** 2).sum(-1))
    article = (1 - y) * d**2 + y * np.maximum(1.0 - d, 0) ** 2
    values = lm.Contrastive()(*lm.Contrastive.given(y, first, second), reduction="none")
    np.testing.assert_allclose(values, article, rtol=1e-13, atol=1e-16)
    swapped = lm.Contrastive(similar_is_one=True)(*lm.Contrastive.given(1 - y, first, second), reduction="none")
    assert (swapped == values).all()


def test_given_triplets_equal_the_ones_from_labels():
    labels, f = cloud(12)
    rows = [
        (a, p, n)
        for a in range(12)
        for p in range(12)
        for n in range(12)
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    ]
    for distance in DISTANCES:
        loss = lm.Triplet(distance=distance)
        assert loss(np.array(rows), f) == pytest.approx(loss(labels, f), rel=1e-13)
        np.testing.assert_allclose(loss.gradient(np.array(rows), f), loss.gradient(labels, f), rtol=1e-11, atol=1e-15)


def test_torch_agrees_without_its_epsilon():
    torch = pytest.importorskip("torch")
    arrays = np.random.default_rng(0).normal(size=(3, 9, 4))
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    value = torch.nn.functional.triplet_margin_loss(*tensors, margin=1.0, eps=0.0)
    value.backward()
    loss = lm.Triplet(margin=1.0, distance="euclidean")
    assert loss(*loss.given(*arrays)) == pytest.approx(value.item(), rel=1e-14)
    gradient = loss.gradient(*loss.given(*arrays)).reshape(arrays.shape)
    np.testing.assert_allclose(gradient, [t.grad for t in tensors], rtol=1e-13, atol=1e-17)


# --- larger batches, against broadcasting over all triplets --------------------------------------------------


def by_broadcasting(torch, loss, labels, x):
    """All n x n x n triplets at once, differentiated by torch."""
    if loss.distance == "cosine":
        x = x / x.norm(dim=1, keepdim=True)
        distance = 1 - x @ x.T
    else:
        distance = ((x[:, None] - x) ** 2).sum(-1)
        if loss.distance == "euclidean":
            distance = torch.where(distance > 0, distance, torch.ones_like(distance)).sqrt() * (distance > 0)
    same = labels[:, None] == labels
    pair = same & ~torch.eye(len(labels), dtype=bool)
    valid = pair[:, :, None] & ~same[:, None, :]
    violation = (distance[:, :, None] - distance[:, None, :] + loss.margin)[valid]
    cost = torch.nn.functional.softplus(violation, threshold=1e9) if loss.soft else violation.clamp(min=0)
    return cost.sum() / ((cost > 0).sum() if loss.average == "active" else len(cost))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("average", ["all", "active"])
def test_all_triplets_of_a_batch(distance, soft, average):
    torch = pytest.importorskip("torch")
    labels, f = cloud(60, 8, 5)
    loss = lm.Triplet(distance=distance, soft=soft, average=average)
    x = torch.tensor(f, requires_grad=True)
    true = by_broadcasting(torch, loss, torch.tensor(labels), x)
    true.backward()
    value, gradient = loss.value_and_gradient(labels, f)
    assert value == pytest.approx(true.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, x.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_memory_stays_far_below_a_cube(selection):
    labels, f = cloud(400, 8)
    loss = lm.Triplet(selection=selection)
    loss.gradient(labels, f)
    tracemalloc.start()
    loss.gradient(labels, f)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    square = 8 * 400**2
    assert peak < 12 * square < 8 * 400**3 / 30


def test_tiles_do_not_change_the_numbers(monkeypatch):
    labels, f = cloud(50)
    for distance in ("euclidean", "cosine"):
        loss = lm.Contrastive(margin=2.0, distance=distance)
        whole = loss.value_and_gradient(labels, f)
        with monkeypatch.context() as patch:
            patch.setattr(tiles, "_TILE", 7 * 50)
            patch.setattr(tiles, "_ROWS", 1)
            parts = loss.value_and_gradient(labels, f)
        assert parts[0] == whole[0]
        assert (parts[1] == whole[1]).all()


# --- selections -------------------------------------------------------------------------------------------


def test_hard_takes_the_worst_of_both_sides():
    labels, f = np.array([0, 0, 0, 1, 1]), np.array([[0.0], [1.0], [3.0], [4.0], [9.0]])
    values = lm.Triplet(distance="euclidean", selection="hard")(labels, f, reduction="none")
    np.testing.assert_allclose(values, [0.0, 0.0, 3 - 1 + 0.2, 5 - 1 + 0.2, 5 - 6 + 0.2 + 0.8], atol=1e-15)


def test_semi_hard_takes_the_nearest_negative_beyond_the_positive():
    labels, f = np.array([0, 0, 1, 1, 1]), np.array([[0.0], [2.0], [1.0], [2.1], [7.0]])
    values = lm.Triplet(distance="euclidean", selection="semi_hard")(labels, f, reduction="none")
    # Anchor 0: positive at 2, negatives at 1, 2.1 and 7: the one at 2.1 costs 0.1.
    assert values[0] == pytest.approx(2 - 2.1 + 0.2)
    # Anchor 4 with positives at 6 and 4.9: negatives at 7 and 5; 7 costs nothing, 5 costs 0.1.
    assert values[4] == pytest.approx(4.9 - 5 + 0.2)


def test_semi_hard_without_a_farther_negative_takes_the_farthest():
    loss = lm.Triplet(distance="euclidean", selection="semi_hard")
    values = loss([0, 0, 1, 1], [[0.0], [9.0], [4.0], [5.0]], reduction="none")
    assert values[0] == pytest.approx(9 - 5 + 0.2)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [4]])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_without_a_triplet_loss_and_gradient_are_0(labels, selection):
    f = np.random.default_rng(0).normal(size=(len(labels), 2))
    value, gradient = lm.Triplet(selection=selection).value_and_gradient(labels, f)
    assert value == 0.0
    assert (gradient == 0.0).all()


def test_without_a_pair_the_contrastive_loss_is_0():
    value, gradient = lm.Contrastive().value_and_gradient([3], [[1.0, 2.0]])
    assert value == 0.0
    assert (gradient == 0.0).all()


def test_active_average_without_an_active_triplet_is_0():
    loss = lm.Triplet(average="active")
    assert loss([0, 0, 1], [[0.0], [0.0], [9.0]]) == 0.0


# --- where derivatives stop existing ----------------------------------------------------------------------


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_kink_of_the_hinge_has_gradient_0(distance):
    loss = lm.Triplet(margin=0.0, distance=distance)
    for y in ([[0, 1, 2]], [0, 0, 1]):
        value, gradient = loss.value_and_gradient(y, [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
        assert value == 0.0
        assert (gradient == 0.0).all()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("selection", SELECTIONS)
def test_coinciding_embeddings_have_finite_gradients(distance, selection):
    """A collapsed batch, where every distance is 0: the loss is the margin."""
    f = np.ones((6, 3))
    value, gradient = lm.Triplet(distance=distance, selection=selection).value_and_gradient([0, 0, 0, 1, 1, 1], f)
    assert value == pytest.approx(0.2)
    assert (gradient == 0.0).all()


def test_coinciding_dissimilar_pairs_have_no_direction():
    value, gradient = lm.Contrastive().value_and_gradient([[0, 1, 1]], np.ones((2, 3)))
    assert value == 1.0
    assert (gradient == 0.0).all()


def test_zero_vectors_have_cosine_distance_1_and_gradient_0():
    f = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    for loss, y in (
        (lm.Contrastive(distance="cosine", margin=2.0), [[0, 1, 0], [0, 2, 0]]),
        (lm.Contrastive(distance="cosine", margin=2.0), [0, 0, 0, 1]),
    ):
        gradient = loss.gradient(y, f)
        assert np.isfinite(gradient).all()
        assert (gradient[[0, 2]] == 0.0).all()
    assert lm.Contrastive(distance="cosine")([[0, 1, 0], [0, 2, 0]], f, reduction="none").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-5, 1e20, 1e100])
def test_cosine_distance_does_not_know_lengths(size):
    """Peers give 0.0099 for parallel vectors of norm 1e-5, NaN at 1e20 and 1e-30, 1.0 for 0.293 at 1e30."""
    loss = lm.Contrastive(distance="cosine", similar_is_one=True)
    parallel = loss([[0, 1, 1]], np.array([[1.0, 2.0], [2.0, 4.0]]) * size)
    assert parallel < 1e-30
    half = loss([[0, 1, 1]], np.array([[1.0, 0.0], [1.0, 1.0]]) * size)
    assert half == pytest.approx((1 - 0.5**0.5) ** 2, rel=1e-14)
    gradient = loss.gradient([[0, 1, 1]], np.array([[1.0, 0.0], [1.0, 1.0]]) * size) * size
    np.testing.assert_allclose(gradient, loss.gradient([[0, 1, 1]], [[1.0, 0.0], [1.0, 1.0]]), rtol=1e-13)


@pytest.mark.parametrize("size", [1e-200, 1e-6, 1e140])
def test_euclidean_distance_scales(size):
    """Squares of 1e-200 vanish and of 1e160 overflow; torch's epsilon makes d([0], [1e-6]) 0 or 2e-6."""
    f = np.array([[0.0, 3.0], [4.0, 0.0], [0.0, 0.0]])
    loss = lm.Triplet(margin=0.0, distance="euclidean")
    for y in ([[0, 1, 2]], [0, 0, 1]):
        assert loss(y, f * size) == pytest.approx(size * loss(y, f), rel=1e-14)
        np.testing.assert_allclose(loss.gradient(y, f * size), loss.gradient(y, f), rtol=1e-14)


def test_close_embeddings_far_from_the_origin_keep_their_digits():
    """The Gram matrix, |x|^2 + |y|^2 - 2 x y, has no digit left here."""
    steps = np.array([[0.0], [2.0**-20], [2.0**-19]])
    loss = lm.Triplet(margin=0.0)
    for y in ([[0, 2, 1]], [0, 1, 0]):
        assert loss(y, steps + 2.0**20) == loss(y, steps) > 0


def test_nan_gives_nan_and_reaches_only_its_own_triplet():
    f = np.random.default_rng(0).normal(size=(6, 2))
    f[0, 0] = np.nan
    loss = lm.Triplet(margin=10.0)
    value, gradient = loss.value_and_gradient([[0, 1, 2], [3, 4, 5]], f, reduction="none")
    assert np.isnan(value).tolist() == [True, False]
    assert np.isnan(gradient[0]).any()
    assert np.isfinite(gradient[3:]).all()
    assert np.isnan(loss([0, 0, 1, 1, 2, 2], f))
    assert np.isnan(lm.Contrastive()([0, 0, 1, 1, 2, 2], f))
