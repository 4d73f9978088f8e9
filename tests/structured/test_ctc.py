"""CTC at its edges: impossible and empty targets, masked classes, lengths, extreme logits; and its peers."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

pytestmark = pytest.mark.usefixtures("way")


def batch(seed=0, n=4, frames=12, classes=6, size=5, scale=1.0):
    rng = np.random.default_rng(seed)
    size = min(size, frames // 2)
    f = rng.normal(0, scale, (n, frames, classes))
    y = rng.integers(1, classes, (n, size))
    y[:, 1:2] = y[:, :1]
    return lm.CTC.targets(y, rng.integers(0, size + 1, n), rng.integers(2 * size, frames + 1, n)), f


def log_softmax(z):
    top = z.max(axis=-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(axis=-1, keepdims=True))


# --- what the numbers mean ------------------------------------------------------------------------------


def test_the_articles_uniform_case():
    """Four frames, three classes, labels 1 2: 15 of 81 paths."""
    assert lm.CTC()([[1, 2]], np.zeros((1, 4, 3))) == pytest.approx(np.log(81 / 15), rel=1e-15)


def test_empty_target_is_the_all_blank_path():
    _, f = batch()
    y = lm.CTC.targets(np.zeros((4, 0), int))
    np.testing.assert_allclose(lm.CTC()(y, f, reduction="none"), -log_softmax(f)[:, :, 0].sum(axis=1), rtol=1e-14)


def test_as_many_frames_as_labels_is_one_path():
    _, f = batch(frames=3)
    y = np.tile([2, 1, 2], (4, 1))
    expected = -log_softmax(f)[:, [0, 1, 2], [2, 1, 2]].sum(axis=1)
    np.testing.assert_allclose(lm.CTC()(y, f, reduction="none"), expected, rtol=1e-14)


def test_no_frame_says_the_empty_target_for_sure():
    _, f = batch(n=2)
    y = lm.CTC.targets([[1], [1]], [0, 1], [0, 0])
    value, gradient = lm.CTC().value_and_gradient(y, f, reduction="none")
    assert value.tolist() == [0.0, np.inf]
    assert (gradient == 0.0).all()


def test_log_probabilities_may_be_given():
    y, f = batch()
    np.testing.assert_allclose(lm.CTC()(y, log_softmax(f)), lm.CTC()(y, f), rtol=1e-14)


def test_probabilities_of_all_targets_sum_to_1():
    """Over three frames and two labels: every target that has a path, by its own loss."""
    f = np.random.default_rng(0).normal(size=(1, 3, 3))
    targets = [(), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (1, 2, 1), (2, 1, 2)]
    total = sum(np.exp(-lm.CTC()(np.array([t], int).reshape(1, -1), f)) for t in targets)
    assert total == pytest.approx(1.0, rel=1e-14)


def test_padding_and_lengths_say_the_same():
    f = np.random.default_rng(0).normal(size=(2, 8, 5))
    padded = np.array([[1, 2, 2], [3, -1, -1]])
    said = lm.CTC.targets([[1, 2, 2], [3, 4, 0]], target_lengths=[3, 1])
    assert lm.CTC()(padded, f) == lm.CTC()(said, f)


def test_classes_may_be_renumbered():
    y, f = batch()
    order = np.array([3, 0, 5, 1, 4, 2])
    renamed = y._replace(labels=np.argsort(order)[y.labels])
    value, gradient = lm.CTC(blank=int(np.argsort(order)[0])).value_and_gradient(renamed, f[:, :, order])
    own, slope = lm.CTC().value_and_gradient(y, f)
    assert value == pytest.approx(own, rel=1e-14)
    np.testing.assert_allclose(gradient, slope[:, :, order], atol=1e-15)


def test_gradient_of_a_frame_sums_to_0_and_padding_has_none():
    y, f = batch(frames=14)
    gradient = lm.CTC().gradient(y, f)
    np.testing.assert_allclose(gradient.sum(axis=2), 0.0, atol=1e-15)
    padding = np.arange(14) >= np.asarray(y.input_lengths)[:, None]
    assert (gradient[padding] == 0.0).all()
    f[padding] = np.nan
    assert (lm.CTC().gradient(y, f) == gradient).all()


# --- without a path -------------------------------------------------------------------------------------

TOO_SHORT = lm.CTC.targets([[1, 1, 2], [1, 2, 3]], input_lengths=[3, 3])


def test_a_target_without_a_path_costs_infinity_and_has_gradient_0():
    f = np.random.default_rng(0).normal(size=(2, 5, 4))
    value, gradient = lm.CTC().value_and_gradient(TOO_SHORT, f, reduction="none")
    assert value[0] == np.inf
    assert np.isfinite(value[1])
    assert (gradient[0] == 0.0).all()
    assert np.abs(gradient[1]).max() > 0.01
    assert lm.CTC()(TOO_SHORT, f) == np.inf
    assert np.isfinite(lm.CTC().gradient(TOO_SHORT, f)).all()


def test_a_target_without_a_path_can_be_excluded():
    f = np.random.default_rng(0).normal(size=(2, 5, 4))
    loss = lm.CTC(infeasible="exclude")
    alone = lm.CTC.targets([[1, 2, 3]], input_lengths=[3])
    assert loss(TOO_SHORT, f) == lm.CTC()(alone, f[1:])
    np.testing.assert_array_equal(loss.gradient(TOO_SHORT, f)[1:], lm.CTC().gradient(alone, f[1:]))
    assert loss(TOO_SHORT, f, [1.0, 0.0]) == 0.0
    assert loss(TOO_SHORT, f, reduction="none")[0] == 0.0


def test_a_masked_label_has_no_path():
    f = np.zeros((1, 4, 3))
    f[:, :, 2] = -np.inf
    value, gradient = lm.CTC().value_and_gradient([[1, 2]], f)
    assert value == np.inf
    assert (gradient == 0.0).all()


def test_an_unused_masked_class_changes_nothing():
    """Torch gives NaN in every gradient here."""
    y, f = batch(classes=6)
    y = y._replace(labels=np.where(y.labels == 5, 4, y.labels))
    masked = f.copy()
    masked[:, :, 5] = -np.inf
    value, gradient = lm.CTC().value_and_gradient(y, masked)
    own, slope = lm.CTC().value_and_gradient(y, f[:, :, :5])
    assert value == pytest.approx(own, rel=1e-15)
    np.testing.assert_allclose(gradient[:, :, :5], slope, atol=1e-16)
    assert (gradient[:, :, 5] == 0.0).all()


# --- precision --------------------------------------------------------------------------------------------


def test_a_nearly_certain_target_costs_little_and_never_less_than_0():
    """Optax gives -2.1e-8 for such a case in float32; there is one path, so the sum of -log p is exact."""
    f = np.zeros((1, 3, 2), np.float32)
    f[:, :, 1] = 18.5
    f[0, 0, 0], f[0, 0, 1] = 18.5, 0.0
    value = lm.CTC()(lm.CTC.targets([[1]]), f)
    p = 1 / (1 + np.exp(-18.5))
    # Paths: blank 1 1, blank 1 blank (one more miss), 1 1 1 and so on; by hand to second order in q = 1 - p.
    q = 1 - p
    chance = p**3 + 2 * p * p * q + 2 * p * q * q + q**3 - q**2 * p
    assert value >= 0.0
    assert value < 2e-8
    assert value == pytest.approx(-np.log(chance), abs=1e-8)


def test_the_value_is_never_negative():
    rng = np.random.default_rng(0)
    for scale in (20, 40, 100, 1000):
        f = np.zeros((1, 6, 3))
        f[0, np.arange(6), [0, 1, 1, 0, 2, 0]] = scale
        value = lm.CTC()([[1, 2]], f + rng.normal(0, 1e-3, f.shape))
        assert 0.0 <= value < 1e-6


@pytest.mark.parametrize("size", [1e2, 1e4, 1e8])
def test_large_logits(size):
    """With one alignment far ahead, the loss is its cost; every number stays finite."""
    y, f = batch(scale=size)
    value, gradient = lm.CTC().value_and_gradient(y, f, reduction="none")
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() <= 1.0


def test_long_sequences_do_not_underflow():
    """Uniform scores over 2000 frames: log P = log(number of paths) - 2000 log C, about -6000."""
    frames, classes = 2000, 20
    f = np.zeros((1, frames, classes))
    value, gradient = lm.CTC().value_and_gradient([[3]], f)
    paths = frames * (frames + 1) / 2
    assert value == pytest.approx(frames * np.log(classes) - np.log(paths), rel=1e-14)
    # By symmetry the label is as likely in frame t as in frame T - 1 - t.
    np.testing.assert_allclose(gradient[0, :, 3], gradient[0, ::-1, 3], rtol=1e-9, atol=1e-12)


def test_an_infinite_logit_is_a_certainty():
    f = np.zeros((1, 3, 3))
    f[0, 1, 1] = np.inf
    big = f.copy()
    big[0, 1, 1] = 1e6
    value, gradient = lm.CTC().value_and_gradient([[1]], f)
    own, slope = lm.CTC().value_and_gradient([[1]], big)
    assert value == pytest.approx(own, rel=1e-15)
    np.testing.assert_allclose(gradient, slope, atol=1e-15)


def test_nan_spoils_only_its_own_sequence():
    y, f = batch(frames=10)
    f[1, 0, 2] = np.nan
    value, gradient = lm.CTC().value_and_gradient(y, f, reduction="none")
    assert np.isnan(value).tolist() == [False, True, False, False]
    assert np.isnan(gradient[1]).any()
    assert np.isfinite(gradient[[0, 2, 3]]).all()


# --- peers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(200, 8, 20, 30), (40, 16, 100, 10)])
def test_torch_agrees_where_it_is_defined(shape):
    torch = pytest.importorskip("torch")
    frames, n, classes, size = shape
    y, f = batch(3, n, frames, classes, size)
    x = torch.tensor(f, requires_grad=True)
    value = torch.nn.functional.ctc_loss(
        x.log_softmax(-1).transpose(0, 1), *map(torch.tensor, (y.labels, y.input_lengths, y.target_lengths)),
        reduction="none",
    )  # fmt: skip
    value.sum().backward()
    np.testing.assert_allclose(lm.CTC()(y, f, reduction="none"), value.detach(), rtol=1e-13)
    np.testing.assert_allclose(lm.CTC().gradient(y, f, reduction="sum"), x.grad, atol=1e-12)


def test_optax_agrees_to_its_own_precision():
    optax = pytest.importorskip("optax")
    y, f = batch(4)
    frames, labels = (np.arange(k) for k in (f.shape[1], y.labels.shape[1]))
    value = optax.ctc_loss(
        f, (frames >= np.asarray(y.input_lengths)[:, None]) * 1.0,
        y.labels, (labels >= np.asarray(y.target_lengths)[:, None]) * 1.0,
    )  # fmt: skip
    np.testing.assert_allclose(lm.CTC()(y, f, reduction="none"), value, rtol=1e-5)
