"""Where a peer defines the same loss, the numbers agree (the peers in float64, at moderate inputs)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm

RNG = np.random.default_rng(42)
N = 24
Y, F = RNG.normal(0, 2, N), RNG.normal(0, 2, N)
B, SIGNS = (RNG.random(N) < 0.5).astype(float), np.where(RNG.random(N) < 0.5, -1.0, 1.0)
COUNT = RNG.poisson(2.0, N).astype(float)
P = RNG.uniform(0.05, 0.95, N)
LABELS, Z = RNG.integers(0, 3, N), RNG.normal(0, 2, (N, 3))
SOFT = RNG.dirichlet(np.ones(3), N)
V = RNG.uniform(0.2, 3, N)
W = (1.0, 3.0, 0.5)


def _same(got: Any, want: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=rtol, atol=1e-13)


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    fn, t = torch.nn.functional, torch.tensor
    _same(lm.MeanSquaredError()(Y, F), fn.mse_loss(t(F), t(Y)))
    _same(lm.MeanAbsoluteError()(Y, F), fn.l1_loss(t(F), t(Y)))
    _same(lm.Huber(delta=1.5)(Y, F), fn.huber_loss(t(F), t(Y), delta=1.5))
    _same(lm.Huber(delta=1.5)(Y, F) / 1.5, fn.smooth_l1_loss(t(F), t(Y), beta=1.5))
    _same(lm.BinaryCrossEntropy()(B, F), fn.binary_cross_entropy_with_logits(t(F), t(B)))
    _same(lm.BinaryCrossEntropy("probabilities")(B, P), fn.binary_cross_entropy(t(P), t(B)))
    _same(lm.PoissonNLL()(COUNT, F), fn.poisson_nll_loss(t(F), t(COUNT)))
    _same(lm.PoissonNLL("rate")(COUNT, V), fn.poisson_nll_loss(t(V), t(COUNT), log_input=False, eps=0))
    rows = np.stack([F, V], -1)
    _same(lm.GaussianNLL("variance")(Y, rows), fn.gaussian_nll_loss(t(F), t(Y), t(V), full=True))
    _same(lm.GaussianNLL("variance", full=False)(Y, rows), fn.gaussian_nll_loss(t(F), t(Y), t(V)))
    log_q = fn.log_softmax(t(Z), -1)
    _same(lm.KLDivergence("log_probabilities")(SOFT, log_q.numpy()), fn.kl_div(log_q, t(SOFT), reduction="batchmean"))
    _same(lm.KLDivergence()(SOFT, Z), fn.kl_div(log_q, t(SOFT), reduction="batchmean"))


def test_torch_cross_entropy() -> None:
    torch = pytest.importorskip("torch")
    fn, t = torch.nn.functional.cross_entropy, torch.tensor
    _same(lm.CategoricalCrossEntropy()(LABELS, Z), fn(t(Z), t(LABELS)))
    _same(lm.CategoricalCrossEntropy()(SOFT, Z), fn(t(Z), t(SOFT)))
    _same(lm.CategoricalCrossEntropy(label_smoothing=0.1)(LABELS, Z), fn(t(Z), t(LABELS), label_smoothing=0.1))
    weighted = lm.CategoricalCrossEntropy(class_weights=W)
    _same(weighted(LABELS, Z), fn(t(Z), t(LABELS), weight=t(W, dtype=torch.float64)))
    masked = np.where(np.arange(N) % 3 == 0, -100, LABELS)
    _same(lm.CategoricalCrossEntropy(ignore_index=-100)(masked, Z), fn(t(Z), t(masked)))
    for reduction in ("sum", "none"):
        want = fn(t(Z), t(LABELS), weight=t(W, dtype=torch.float64), label_smoothing=0.2, reduction=reduction)
        loss = lm.CategoricalCrossEntropy(class_weights=W, label_smoothing=0.2)
        _same(loss(LABELS, Z, reduction=reduction), want)


def test_torch_multi_margin() -> None:
    """Value and gradient, kinks apart."""
    torch = pytest.importorskip("torch")
    for p in (1, 2):
        for margin in (1.0, 0.3):
            for given in (None, W):
                loss = lm.MultiMargin(p=p, margin=margin, class_weights=given)
                z = torch.tensor(Z, requires_grad=True)
                weight = None if given is None else torch.tensor(given, dtype=torch.float64)
                want = torch.nn.functional.multi_margin_loss(z, torch.tensor(LABELS), p, margin, weight)
                want.backward()
                _same(loss(LABELS, Z), want.detach())
                _same(loss.gradient(LABELS, Z) / N, z.grad)


def test_the_argument_order_is_ours() -> None:
    """On an asymmetric loss the order shows: torch takes (prediction, target)."""
    torch = pytest.importorskip("torch")
    swapped = torch.nn.functional.poisson_nll_loss(torch.tensor(COUNT), torch.tensor(F), reduction="sum")
    assert abs(float(lm.PoissonNLL()(COUNT, F, reduction="sum")) - float(swapped)) > 1


def test_optax() -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    if not jax.config.jax_enable_x64:
        pytest.skip("needs 64-bit numbers")
    _same(lm.MeanSquaredError()(Y, F, reduction="none"), optax.squared_error(F, Y))
    _same(0.5 * lm.MeanSquaredError()(Y, F, reduction="none"), optax.l2_loss(F, Y))
    _same(lm.Huber(delta=1.5)(Y, F, reduction="none"), optax.huber_loss(F, Y, delta=1.5))
    _same(lm.LogCosh()(Y, F, reduction="none"), optax.log_cosh(F, Y), 1e-9)
    _same(lm.BinaryCrossEntropy()(B, F, reduction="none"), optax.sigmoid_binary_cross_entropy(F, B))
    _same(lm.Hinge()(SIGNS, F, reduction="none"), optax.losses.hinge_loss(F, SIGNS))
    for gamma, alpha in ((2.0, None), (0.5, 0.25)):
        ours = lm.BinaryFocal(gamma=gamma, alpha=alpha)(B, F, reduction="none")
        _same(ours, optax.losses.sigmoid_focal_loss(F, B, alpha=alpha, gamma=gamma), 1e-11)
    _same(lm.CategoricalCrossEntropy()(SOFT, Z, reduction="none"), optax.softmax_cross_entropy(Z, SOFT))


def test_sklearn_and_scipy() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    special = pytest.importorskip("scipy.special")
    _same(lm.MeanSquaredError()(Y, F, V), metrics.mean_squared_error(Y, F, sample_weight=V))
    _same(lm.MeanAbsoluteError()(Y, F, V), metrics.mean_absolute_error(Y, F, sample_weight=V))
    for q in (0.1, 0.5, 0.9):
        _same(lm.Quantile(q=q)(Y, F, V), metrics.mean_pinball_loss(Y, F, alpha=q, sample_weight=V))
    _same(lm.BinaryCrossEntropy("probabilities")(B, P, V), metrics.log_loss(B, P, sample_weight=V))
    p = special.softmax(Z, -1)
    _same(lm.CategoricalCrossEntropy("probabilities")(LABELS, p), metrics.log_loss(LABELS, p))
    deviance = 2 * (lm.PoissonNLL("rate")(COUNT, V) - lm.PoissonNLL("rate")(COUNT, np.maximum(COUNT, 1e-300)))
    _same(deviance, metrics.mean_poisson_deviance(COUNT, V), 1e-11)
    _same(lm.Hinge()(SIGNS, F), metrics.hinge_loss(SIGNS, F))
    _same(lm.Huber(delta=0.7)(Y, F, reduction="none"), special.huber(0.7, F - Y))
    _same(lm.KLDivergence("probabilities")(SOFT, p, reduction="none"), special.kl_div(SOFT, p).sum(-1), 1e-11)


def test_sklearn_gradients() -> None:
    """The private losses of the gradient boosting take the gradient by the raw score, as we do."""
    private = pytest.importorskip("sklearn._loss.loss")
    y, f = B.copy(), F.copy()
    ours = lm.BinaryCrossEntropy()
    gradient, hessian = private.HalfBinomialLoss().gradient_hessian(y, f)
    _same(ours.gradient(y, f), gradient)
    _same(ours.hessian(y, f), hessian)
    gradient, hessian = private.HalfPoissonLoss().gradient_hessian(COUNT, f)
    _same(lm.PoissonNLL().gradient(COUNT, f), gradient)
    _same(lm.PoissonNLL().hessian(COUNT, f), hessian)


@pytest.mark.filterwarnings("ignore")
def test_keras() -> None:
    keras = pytest.importorskip("keras")
    losses = keras.losses
    tight = 2e-6  # Keras computes in float32 (peer case K17)

    def column(a: Any) -> Any:
        return np.asarray(a, np.float32)[:, None]

    pairs = [
        (losses.MeanSquaredError(), lm.MeanSquaredError(), Y, F),
        (losses.MeanAbsoluteError(), lm.MeanAbsoluteError(), Y, F),
        (losses.Huber(delta=1.5), lm.Huber(delta=1.5), Y, F),
        (losses.LogCosh(), lm.LogCosh(), Y, F),
        (losses.Hinge(), lm.Hinge(), SIGNS, F),
        (losses.SquaredHinge(), lm.SquaredHinge(), SIGNS, F),
        (losses.BinaryCrossentropy(from_logits=True), lm.BinaryCrossEntropy(), B, F),
        (losses.BinaryCrossentropy(), lm.BinaryCrossEntropy("probabilities"), B, P),
        (losses.Poisson(), lm.PoissonNLL("rate"), COUNT, V),
        (losses.BinaryFocalCrossentropy(gamma=2.0), lm.BinaryFocal("probabilities", gamma=2.0), B, P),
    ]
    for theirs, ours, y, f in pairs:
        np.testing.assert_allclose(ours(y, f), float(theirs(column(y), column(f))), rtol=5 * tight, err_msg=repr(ours))
    got = lm.CategoricalCrossEntropy(label_smoothing=0.1)(LABELS, Z)
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    want = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(one_hot, Z.astype(np.float32))
    np.testing.assert_allclose(got, float(want), rtol=tight)
