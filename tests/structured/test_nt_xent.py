"""NT-Xent and InfoNCE: peers, autodiff, temperatures, zero vectors, batches without positives or negatives."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import lossmith as lm
from structured import obvious


def cloud(n=24, d=6, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, n), rng.normal(size=(n, d))


def close(found, true, rtol=1e-12):
    true = np.asarray(true)
    np.testing.assert_allclose(np.asarray(found), true, rtol=rtol, atol=rtol * np.abs(true).max())


# --- what they are -------------------------------------------------------------------------------------------


def test_two_views_are_the_articles_loss():
    """SimCLR: cross-entropy of each view's cosines to all others, with the other view as the right class."""
    torch = pytest.importorskip("torch")
    first, second = np.random.default_rng(0).normal(size=(2, 40, 8))
    y, f = lm.NTXent.given(first, second)
    x = torch.tensor(f, requires_grad=True)
    u = x / x.norm(dim=1, keepdim=True)
    scores = (u @ u.T / 0.1).masked_fill(torch.eye(80, dtype=torch.bool), -torch.inf)
    true = torch.nn.functional.cross_entropy(scores, (torch.arange(80) + 40) % 80)
    true.backward()
    value, gradient = lm.NTXent(temperature=0.1).value_and_gradient(y, f)
    close(value, true.item())
    close(gradient, x.grad)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("t", [12, 100])
def test_info_nce_is_the_cross_entropy_of_queries_and_keys(symmetric, t):
    torch = pytest.importorskip("torch")
    arrays = np.random.default_rng(0).normal(size=(2, t, 8))
    q, k = (torch.tensor(a, requires_grad=True) for a in arrays)
    scores = (q / q.norm(dim=1, keepdim=True)) @ (k / k.norm(dim=1, keepdim=True)).T / 0.07
    entropy = torch.nn.functional.cross_entropy
    true = entropy(scores, torch.arange(t))
    if symmetric:
        true = (true + entropy(scores.T, torch.arange(t))) / 2
    true.backward()
    value, gradient = lm.InfoNCE(symmetric=symmetric).value_and_gradient(*lm.InfoNCE.given(*arrays))
    close(value, true.item())
    close(gradient.reshape(arrays.shape), [q.grad.numpy(), k.grad.numpy()])


def test_info_nce_of_two_views_is_part_of_nt_xent():
    """Queries against keys only; NT-Xent has the other queries among the negatives too, so it is larger."""
    views = np.random.default_rng(0).normal(size=(2, 10, 4))
    both = lm.InfoNCE(symmetric=True)(*lm.InfoNCE.given(*views))
    assert 0 < both < lm.NTXent()(*lm.NTXent.given(*views))


def test_rows_with_one_key_are_not_negatives_of_each_other():
    f = np.random.default_rng(0).normal(size=(5, 3))
    values = lm.InfoNCE()([[0, 2], [1, 2], [3, 4]], f, reduction="none")
    assert values[0] == lm.InfoNCE()([[0, 2], [3, 4]], f, reduction="none")[0]


# --- peers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("n", [30, 100])
def test_pytorch_metric_learning_agrees(temperature, n):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("pytorch_metric_learning.losses")
    y, f = cloud(n)
    x = torch.tensor(f, requires_grad=True)
    true = peers.NTXentLoss(temperature=temperature)(x, torch.tensor(y))
    true.backward()
    value, gradient = lm.NTXent(temperature=temperature).value_and_gradient(y, f)
    close(value, true.item())
    close(gradient, x.grad)
    assert abs(lm.NTXent(temperature=temperature * 1.001)(y, f) - value) > 1e-6, "the comparison can fail"


@pytest.mark.parametrize("average", ["all", "active"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "cosine"])
def test_triplets_of_pytorch_metric_learning_agree(distance, soft, average):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("pytorch_metric_learning")
    if soft and average == "active":
        pytest.skip("all are active")
    y, f = cloud(100, 8, 12)
    metric = {
        "euclidean": lambda d: d.LpDistance(normalize_embeddings=False),
        "squared_euclidean": lambda d: d.LpDistance(normalize_embeddings=False, power=2),
        "cosine": lambda d: d.CosineSimilarity(),
    }[distance](peers.distances)
    reducer = {"all": peers.reducers.MeanReducer, "active": peers.reducers.AvgNonZeroReducer}[average]()
    peer = peers.losses.TripletMarginLoss(margin=0.3, smooth_loss=soft, distance=metric, reducer=reducer)
    x = torch.tensor(f, requires_grad=True)
    true = peer(x, torch.tensor(y))
    true.backward()
    loss = lm.Triplet(margin=0.3, distance=distance, soft=soft, average=average)
    value, gradient = loss.value_and_gradient(y, f)
    # The peer takes distances from products of matrices, which costs it digits.
    close(value, true.item(), 1e-11)
    close(gradient, x.grad, 1e-10)


def test_optax_agrees():
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    y, f = cloud()
    true = jax.value_and_grad(lambda x: optax.losses.ntxent(x, jax.numpy.asarray(y), 0.2))(jax.numpy.asarray(f))
    found = lm.NTXent(temperature=0.2).value_and_gradient(y, np.asarray(f, np.float32))
    close(found[0], true[0], 1e-5)
    close(found[1], true[1], 1e-5)


# --- temperatures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.01, 0.003, 1e-4, 1e-8])
@pytest.mark.parametrize("symmetric", [None, False, True])
def test_small_temperatures_keep_their_digits(temperature, symmetric):
    """A cosine has an error of about 1e-16, which the temperature divides."""
    y, f = cloud(12, 4, 3)
    if symmetric is None:
        loss, terms = lm.NTXent(temperature=temperature), obvious.nt_xent_terms
    else:
        loss, terms = lm.InfoNCE(temperature=temperature, symmetric=symmetric), obvious.info_nce_terms
        y = np.arange(12).reshape(2, 6).T
    true = obvious.mean(terms(loss, y, obvious.exact(f)))
    assert abs(loss(y, f) - true) < 5e-16 / temperature
    slope = obvious.gradient(lambda x: terms(loss, y, x), f)
    assert np.abs(loss.gradient(y, f) - slope).max() < 5e-15 / temperature * np.abs(slope).max()


def test_the_smallest_losses_keep_their_digits():
    """-log of a softmax would round e^-60 away; torch's cross-entropy gives 0 with gradient 0."""
    f = np.array([[1.0, 0.0], [1.0, 1e-9], [-1.0, 0.0], [-1.0, 1e-9]])
    loss = lm.NTXent(temperature=1 / 30)
    true = float(mp.log1p(2 * mp.exp(-60)))
    assert loss([0, 0, 1, 1], f) == pytest.approx(true, rel=1e-14)
    assert np.abs(loss.gradient([0, 0, 1, 1], f)).max() > 0


@pytest.mark.parametrize("temperature", [1e-300, 5e-324, 1e300])
def test_extreme_temperatures_make_no_nan(temperature):
    y, f = cloud()
    value, gradient = lm.NTXent(temperature=temperature).value_and_gradient(y, f)
    assert value > 0
    assert not np.isnan(value)
    if temperature > 1:
        assert np.isfinite(gradient).all()


# --- hostile batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [4], [0, 0]])
def test_without_positives_or_negatives_the_loss_is_0(labels):
    f = np.random.default_rng(0).normal(size=(len(labels), 2))
    value, gradient = lm.NTXent().value_and_gradient(labels, f)
    assert value == 0.0
    assert (gradient == 0.0).all()


def test_a_row_alone_costs_nothing():
    value, gradient = lm.InfoNCE().value_and_gradient([[0, 1]], [[1.0, 2.0], [3.0, -1.0]])
    assert value == 0.0
    assert (gradient == 0.0).all()


def test_zero_vectors_have_cosine_0_and_gradient_0():
    f = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    value, gradient = lm.NTXent(temperature=0.5).value_and_gradient([0, 0, 1, 1], f)
    assert np.isfinite(value)
    assert (gradient[0] == 0.0).all()
    assert np.abs(gradient[1:]).min(axis=1).max() > 0
    values = lm.NTXent(temperature=0.5)([0, 0, 1, 1], f, reduction="none")
    assert values[0] == pytest.approx(np.log(3.0)), "three cosines of 0"
    assert (lm.InfoNCE().gradient([[0, 1], [2, 3]], np.zeros((4, 2))) == 0.0).all()


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e140])
def test_lengths_do_not_matter(size):
    y, f = cloud()
    value, gradient = lm.NTXent().value_and_gradient(y, f * size)
    close(value, lm.NTXent()(y, f))
    close(gradient * size, lm.NTXent().gradient(y, f))


def test_the_gradient_is_across_each_embedding():
    y, f = cloud()
    for loss, target in ((lm.NTXent(), y), (lm.InfoNCE(), np.arange(24).reshape(2, 12).T)):
        gradient = loss.gradient(target, f)
        assert np.abs((gradient * f).sum(axis=1)).max() < 1e-14 * np.abs(gradient).max()


def test_collapsed_embeddings():
    """All cosines 1: every positive against 6 negatives alike."""
    value, gradient = lm.NTXent().value_and_gradient([0, 0, 1, 1, 2, 2, 3, 3], np.ones((8, 3)))
    assert value == pytest.approx(np.log(7.0), rel=1e-14)
    assert np.abs(gradient).max() < 1e-14


def test_nan_gives_nan_unless_it_has_no_weight():
    y, f = cloud()
    f[3, 0] = np.nan
    weight = np.ones(24)
    assert np.isnan(lm.NTXent()(y, f))
    weight[3] = 0.0
    value, gradient = lm.NTXent().value_and_gradient(y, f, None, weight)
    assert np.isfinite(value)
    assert (gradient[3] == 0.0).all()
    rows = np.arange(24).reshape(12, 2)
    assert np.isnan(lm.InfoNCE()(rows, f))
    assert np.isfinite(lm.InfoNCE()(rows, f, weight[::2] * (np.arange(12) != 1)))


def test_a_weight_counts_among_the_negatives():
    """Weight 2 on a negative is two negatives."""
    f = np.random.default_rng(0).normal(size=(4, 3))
    twice = np.r_[f, f[3:]]
    weighted = lm.NTXent()([0, 0, 1, 2], f, [1.0, 1.0, 1.0, 2.0], "none")
    repeated = lm.NTXent()([0, 0, 1, 2, 2], twice, reduction="none")
    close(weighted[:2], repeated[:2])
