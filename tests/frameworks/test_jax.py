"""``to_jax``: Optax's order and shapes, NumPy's numbers."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.jax_cases import EVERY, SOME, SOME_STRUCTURED, JaxCase, close

jax = pytest.importorskip("jax")
jnp = jax.numpy
if not jax.config.jax_enable_x64:
    pytest.skip("JAX was started without 64-bit numbers (JAX_ENABLE_X64)", allow_module_level=True)

every = pytest.mark.parametrize("case", EVERY, ids=lambda c: c.name)
some = pytest.mark.parametrize("case", SOME, ids=lambda c: c.name)


def value_and_gradient(case: JaxCase, arguments: Any = None) -> tuple[Any, Any]:
    """The compiled sum of what the function returns, with its gradient."""
    function = lm.to_jax(case.loss)
    f, *others = case.arguments if arguments is None else arguments
    compiled = jax.jit(jax.value_and_grad(lambda f, *others: function(f, *others).sum()))
    return compiled(jnp.asarray(f), *map(jnp.asarray, others))


def check_numbers(case: JaxCase, rtol: float) -> None:
    """Demand NumPy's value and gradient of the compiled function."""
    value, gradient = value_and_gradient(case)
    want, slope = case.value_and_gradient()
    assert value.dtype == gradient.dtype == case.f.dtype
    close(value, want, rtol)
    close(gradient, slope, 1e-5 if case.rough else rtol)


@every
def test_compiled_value_and_gradient_are_numpys(case: JaxCase) -> None:
    check_numbers(case, 1e-12)


@some
def test_in_single_precision(case: JaxCase) -> None:
    check_numbers(case.rounded(np.float32), 2e-5)


def test_the_checker_tells_losses_apart() -> None:
    wrong = dataclasses.replace(EVERY[0], loss=lm.Huber(delta=1.35))
    with pytest.raises(AssertionError):
        close(value_and_gradient(EVERY[0])[1], wrong.value_and_gradient()[1], 1e-12)


@every
def test_values_have_optaxs_shape(case: JaxCase) -> None:
    shape = jax.eval_shape(lm.to_jax(case.loss), *case.arguments).shape
    if not case.per_sample:
        assert shape == ()
    elif case.tier == "structured":
        assert shape == case.f.shape[:1]
    else:
        assert shape == (case.f.shape[:-1] if case.tier == "row-wise" else case.f.shape)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", SOME[1::2], ids=lambda c: c.name)
def test_reductions(case: JaxCase, reduction: str) -> None:
    close(lm.to_jax(case.loss, reduction)(*case.arguments), case.numpy(reduction), 1e-12)


@some
def test_weights_and_masks(case: JaxCase) -> None:
    count = len(case.numpy("none"))
    weight = np.arange(count) % 3 + 0.5
    kept = np.arange(count) % 2 == 0
    mean = lm.to_jax(case.loss, "mean")
    close(mean(*case.arguments, sample_weight=weight), case.numpy("mean", weight), 1e-12)
    close(mean(*case.arguments, where=kept), case.numpy("mean", kept.astype(float)), 1e-12)
    close(mean(*case.arguments, where=kept, sample_weight=weight), case.numpy("mean", weight * kept), 1e-12)
    if case.per_sample:
        close(lm.to_jax(case.loss)(*case.arguments, sample_weight=weight), case.numpy("none", weight), 1e-12)


@pytest.mark.parametrize("case", [c for c in SOME if c.per_sample], ids=lambda c: c.name)
def test_a_masked_sample_may_hold_nan(case: JaxCase) -> None:
    f, *others = case.arguments
    broken = f.copy()
    broken[1] = np.nan
    kept = np.arange(len(f)) != 1
    function = lm.to_jax(case.loss, "mean")
    compiled = jax.jit(jax.value_and_grad(lambda f: function(f, *others, where=kept, sample_weight=kept / 1.0)))
    (value, gradient), (want, slope) = compiled(jnp.asarray(broken)), compiled(jnp.asarray(f))
    close(value, want, 1e-12)
    close(gradient, slope, 1e-12)
    assert not np.asarray(gradient)[1].any()


@pytest.mark.parametrize("case", [c for c in SOME if c.per_sample and c.tier != "structured"], ids=lambda c: c.name)
def test_samples_alone_and_one_by_one(case: JaxCase) -> None:
    function, together = lm.to_jax(case.loss), lm.to_jax(case.loss)(*case.arguments)
    close(jax.vmap(function)(*case.arguments), together, 1e-12)
    alone = function(*(argument[0] for argument in case.arguments), where=True)
    assert alone.shape == ()
    close(alone, together[0], 1e-12)


@pytest.mark.parametrize("case", SOME_STRUCTURED, ids=lambda c: c.name)
def test_vmap_over_batches(case: JaxCase) -> None:
    f, *others = case.arguments
    one = jax.grad(lambda f: lm.to_jax(case.loss)(f, *others).sum())
    batches = jnp.asarray(np.stack([f, 0.5 * f]))
    want = np.stack([one(f), one(0.5 * f)])
    close(jax.jit(jax.vmap(one))(batches), want, 1e-12)
    close(jax.vmap(jax.vmap(one))(batches[:, None]), want[:, None], 1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", SOME[::2], ids=lambda c: c.name)
def test_half_precision_is_computed_in_single(case: JaxCase, dtype: str) -> None:
    f, *others = case.arguments
    half = jnp.asarray(f).astype(dtype)
    if not bool(jnp.isfinite(half).all()) or case.rough:
        pytest.skip("the case's numbers leave the range of this dtype")
    value, gradient = value_and_gradient(case, (half, *others))
    assert value.dtype == jnp.float32
    assert gradient.dtype == half.dtype
    if not (case.loss.to_config()["params"].get("inputs") == "probabilities" or case.loss.name == "kl_divergence"):
        want, _ = value_and_gradient(case, (half.astype(jnp.float32), *others))
        close(value, want, 1e-6)


# --- layouts of single losses -----------------------------------------------------------------------------


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


RESIDUALS = draw(5), draw(6)[1:]
ROWS = np.arange(8).reshape(2, 4) % 3
LOGITS = draw(2, 4, 3)
OPTAX = {
    "squared_error": (lm.MeanSquaredError(), RESIDUALS),
    "huber_loss": (lm.Huber(), RESIDUALS),
    "log_cosh": (lm.LogCosh(), RESIDUALS),
    "sigmoid_binary_cross_entropy": (lm.BinaryCrossEntropy(), (draw(5), np.array([0, 1, 1, 0, 1]))),
    "sigmoid_focal_loss": (lm.BinaryFocal(), (draw(5), np.array([0, 1, 1, 0, 1.0]))),
    "hinge_loss": (lm.Hinge(), (draw(5), np.array([-1, 1, 1, -1, 1]))),
    "softmax_cross_entropy": (lm.CategoricalCrossEntropy(), (LOGITS, np.eye(3)[ROWS])),
    "softmax_cross_entropy_with_integer_labels": (lm.CategoricalCrossEntropy(), (LOGITS, ROWS)),
    "ntxent": (lm.NTXent(), (draw(6, 4), np.arange(6) // 2)),
    "triplet_margin_loss": (lm.Triplet(margin=1.0, distance="euclidean"), tuple(draw(3, 5, 4))),
    "ctc_loss": (
        lm.CTC(),
        (
            draw(2, 6, 4),
            np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]]),
            np.array([[1, 2, 2], [3, 0, 0]]),
            np.array([[0, 0, 0], [0, 1, 1]]),
        ),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_the_call_is_optaxs(name: str) -> None:
    optax = pytest.importorskip("optax")
    loss, given = OPTAX[name]
    arguments = tuple(map(jnp.asarray, given))
    theirs = getattr(optax.losses, name)(*arguments)
    ours = lm.to_jax(loss)(*arguments)
    assert ours.shape == theirs.shape
    close(ours, theirs, 1e-6)


def test_the_order_of_arguments_matters() -> None:
    low, high = jnp.array([0.0]), jnp.array([1.0])
    assert float(lm.to_jax(lm.Quantile(q=0.9))(low, high)[0]) == pytest.approx(0.9)
    assert float(lm.to_jax(lm.Quantile(q=0.9))(high, low)[0]) == pytest.approx(0.1)


@pytest.mark.parametrize("reduction", [None, "mean", "sum"])
def test_members_in_several_arrays(reduction: str | None) -> None:
    one, two, three = draw(3, 5, 4)
    kinds, weight = np.array([0, 1, 0, 1, 1]), np.arange(5.0)
    for loss, members, given in (
        (lm.Triplet(margin=1.0), (one, two, three), lm.Triplet.given(one, two, three)),
        (lm.Contrastive(margin=3.0), (one, two, kinds), lm.Contrastive.given(kinds, one, two)),
    ):
        got = lm.to_jax(loss, reduction)(*members, sample_weight=weight)
        close(got, loss(*given, weight, reduction or "none"), 1e-12)
        factors = np.arange(5.0) if reduction is None else 1.0
        gradients = jax.jit(
            jax.grad(lambda a, b, c=members[2], s=loss, w=factors: (lm.to_jax(s, reduction)(a, b, c) * w).sum(), (0, 1))
        )(one, two)
        want = loss.gradient(*given, factors if reduction is None else None, reduction or "sum")
        close(np.concatenate(gradients), want[:10], 1e-12)


def test_queries_and_keys() -> None:
    queries, keys = draw(2, 5, 4)
    y, f = lm.InfoNCE.given(queries, keys)
    function = lm.to_jax("info_nce")
    close(function(queries, keys), lm.InfoNCE()(y, f), 1e-12)
    close(function(f, y), lm.InfoNCE()(y, f), 1e-12)


def test_frames_padded_before_others_are_no_number() -> None:
    paddings = np.array([[0, 0, 0, 1], [0, 1, 0, 0]])
    values = lm.to_jax("ctc")(draw(2, 4, 3), paddings, np.array([[1], [1]]), None)
    assert np.isfinite(values[0])
    assert np.isnan(values[1])


def test_a_label_outside_is_no_number() -> None:
    assert np.isnan(lm.to_jax("cce")(jnp.zeros((2, 3)), jnp.array([0, 3]))).tolist() == [False, True]


# --- what the functions are -------------------------------------------------------------------------------


def test_equal_losses_share_what_is_compiled() -> None:
    one, other = lm.to_jax("huber"), lm.to_jax(lm.Huber())
    assert one == other
    assert hash(one) == hash(other)
    assert one != lm.to_jax(lm.Huber(delta=2.0))
    assert pickle.loads(pickle.dumps(one)) == one
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(function: Any, f: Any) -> Any:
        traced.append(function)
        return function(f, jnp.zeros(2)).mean()

    assert float(step(one, jnp.ones(2))) == float(step(other, jnp.ones(2))) == 0.5
    assert len(traced) == 1


# --- refusals ---------------------------------------------------------------------------------------------


def test_refusals_say_what_to_give() -> None:
    mse = lm.to_jax("mse")
    for call, error, words in (
        (lambda: lm.to_jax(3), TypeError, "takes a loss or its name"),
        (lambda: lm.to_jax("mse", "average"), ValueError, "'mean', 'sum' or 'none'"),
        (lambda: mse(jnp.array([1, 2]), jnp.zeros(2)), TypeError, "predictions first"),
        (lambda: mse(jnp.zeros((2, 1)), jnp.zeros(2)), ValueError, "must be equal"),
        (lambda: lm.to_jax("ctc")(draw(2, 4, 3), np.zeros(4), [[1], [1]], None), ValueError, "give shape"),
        (lambda: lm.to_jax("triplet")(draw(2, 4), draw(2, 4), draw(3, 4)), ValueError, "one embedding a row"),
        (lambda: lm.to_jax("contrastive")(draw(2, 4), draw(2, 4), [1]), ValueError, "one label a pair"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_values_that_share_predictions_have_no_gradient_each() -> None:
    function = lm.to_jax("nt_xent", "none")
    embeddings, labels = jnp.asarray(draw(4, 3)), np.array([0, 0, 1, 1])
    assert function(embeddings, labels).shape == (4,)
    with pytest.raises(ValueError, match="share predictions"):
        jax.grad(lambda f: function(f, labels).sum())(embeddings)


def test_parts_without_samples_in_common_have_no_values_each() -> None:
    mixed = lm.WeightedSum((lm.Dice(class_axis=-1), lm.CategoricalCrossEntropy(inputs="probabilities")))
    f, y = np.full((2, 4, 3), 1 / 3), np.arange(8).reshape(2, 4) % 3
    close(lm.to_jax(mixed)(f, y), mixed(y, f), 1e-12)
    with pytest.raises(ValueError, match="without samples in common"):
        lm.to_jax(mixed, "none")


def test_importing_lossmith_imports_no_jax() -> None:
    code = "import sys, lossmith; lossmith.Huber()([0.0], [1.0]); lossmith.to_jax; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_jax_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[jax\]'"):
        lm.to_jax("mse")
