"""Losses of optax in Lossmith's words: the same values and gradients as optax's own, in float64."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import sample, smooth

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
if not jax.config.jax_enable_x64:
    pytest.skip("needs 64-bit numbers", allow_module_level=True)
jnp, losses = jax.numpy, optax.losses


def _plain(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, y)


def _logs(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, jnp.log(y))


def _three(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(*f.reshape(3, -1, f.shape[-1]))


def _frames(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, jnp.zeros(f.shape[:2]), y, jnp.zeros(y.shape))


def _pixels(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f.reshape(3, -1), y.reshape(3, -1))


# optax's loss, how it is called, tolerance, whether its targets are rows.
CASES: dict[str, tuple[Any, Any, float, bool]] = {
    "squared_error": (losses.squared_error, _plain, 1e-12, False),
    "l2_loss": (losses.l2_loss, _plain, 1e-12, False),
    "huber_loss": (losses.huber_loss, _plain, 1e-12, False),
    "huber_loss(delta=2)": (functools.partial(losses.huber_loss, delta=2.0), _plain, 1e-12, False),
    "log_cosh": (losses.log_cosh, _plain, 1e-9, False),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, _plain, 1e-11, False),
    "sigmoid_focal_loss": (losses.sigmoid_focal_loss, _plain, 1e-10, False),
    "sigmoid_focal_loss(alpha)": (
        functools.partial(losses.sigmoid_focal_loss, alpha=0.3, gamma=1.5), _plain, 1e-10, False
    ),
    "hinge_loss": (losses.hinge_loss, _plain, 1e-12, False),
    "integer labels": (losses.softmax_cross_entropy_with_integer_labels, _plain, 1e-10, False),
    "softmax_cross_entropy": (losses.softmax_cross_entropy, _plain, 1e-11, True),
    "safe_softmax_cross_entropy": (losses.safe_softmax_cross_entropy, _plain, 1e-11, True),
    "kl_divergence": (losses.kl_divergence, _plain, 1e-11, True),
    "kl_divergence_with_log_targets": (losses.kl_divergence_with_log_targets, _logs, 1e-11, True),
    "ctc_loss": (losses.ctc_loss, _frames, 1e-6, False),
    "ctc_loss(blank_id=2)": (functools.partial(losses.ctc_loss, blank_id=2), _frames, 1e-6, False),
    "triplet_margin_loss": (losses.triplet_margin_loss, _three, 2e-5, False),
    "triplet_margin_loss(margin)": (functools.partial(losses.triplet_margin_loss, margin=0.5), _three, 2e-5, False),
    "ntxent": (losses.ntxent, _plain, 1e-9, False),
    "ntxent(temperature=.5)": (functools.partial(losses.ntxent, temperature=0.5), _plain, 1e-9, False),
    "dice_loss": (losses.dice_loss, _plain, 1e-11, True),
    "dice_loss(probabilities)": (
        functools.partial(losses.dice_loss, apply_softmax=False, smooth=0.25), _plain, 1e-11, True
    ),
    "binary_dice_loss": (functools.partial(losses.binary_dice_loss, smooth=0.5), _pixels, 1e-11, True),
}  # fmt: skip


def same(ours: Any, call: Any, theirs: Any, rtol: float, rows: bool) -> None:
    """Demand equal per-sample values, and equal gradients."""
    y, f = (jnp.asarray(a) for a in sample(ours, soft=rows))
    scalar = call(theirs, y, f).ndim == 0
    got, want = ours(np.asarray(y), np.asarray(f), reduction="mean" if scalar else "none"), call(theirs, y, f)
    atol = rtol if rtol > 1e-6 else 1e-12
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
    inner = ours.losses[0] if isinstance(ours, lm.WeightedSum) else ours
    elementwise = inner.tier == "elementwise"
    weights = smooth(f) if elementwise else np.ones(want.shape)

    def total(values: Any) -> Any:
        return (weights * values).sum()

    reduction = "none" if elementwise or inner.tier == "row-wise" else "mean" if scalar else "sum"
    mine = jax.grad(
        lambda f: total(ours(y, f, reduction=reduction)) if reduction == "none" else ours(y, f, None, reduction)
    )(f)
    other = jax.grad(lambda f: total(call(theirs, y, f)))(f)
    np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_optaxs(name: str) -> None:
    theirs, call, rtol, rows = CASES[name]
    same(lm.from_optax(theirs), call, theirs, rtol, rows)


def test_a_wrong_factor_is_noticed() -> None:
    """Negative control: the square without optax's half, and a Dice loss with optax's own smooth."""
    for wrong, theirs, rows in (
        (lm.MeanSquaredError(), losses.l2_loss, False),
        (lm.Dice(smooth=1.0, inputs="logits", class_axis=-1), losses.dice_loss, True),
    ):
        with pytest.raises(AssertionError):
            same(wrong, _plain, theirs, 1e-9, rows)


def test_all_losses_of_optax_are_known() -> None:
    from lossmith.frameworks.translation.optax import LIBRARY

    names = [name for name in dir(losses) if callable(getattr(losses, name)) and not name.startswith("_")]
    assert [name for name in names if not LIBRARY.knows(name)] == []


@pytest.mark.parametrize(
    ("theirs", "given", "reason"),
    [
        (losses.cosine_distance, {}, "no such loss"),
        (losses.multiclass_hinge_loss, {}, "Crammer"),
        (losses.poly_loss_cross_entropy, {}, "no such loss"),
        (losses.triplet_margin_loss, {"norm_degree": 1}, "Euclidean"),
        (losses.triplet_margin_loss, {"eps": 0.1}, "guard"),
        (losses.softmax_cross_entropy, {"axis": 0}, "last axis"),
        (losses.dice_loss, {"alpha": 0.3}, "count alike"),
        (losses.binary_dice_loss, {"apply_sigmoid": False}, "sum to 1"),
        (losses.huber_loss, {"delta": 0}, "delta"),
        (losses.smooth_labels, {}, "no loss"),
        (jnp.mean, {}, "is no loss of optax"),
        ("optax.hubert_loss", {}, "did you mean"),
    ],
)
def test_what_has_no_equal_is_refused_in_one_line(theirs: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        lm.from_optax(theirs, **given)
    assert reason in str(caught.value), caught.value
