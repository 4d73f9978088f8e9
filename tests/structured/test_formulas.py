"""The formulas of structured losses give what the host computes, and TensorFlow's XLA compiles them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from structured.cases import CASES, Case

Array = Any
every = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
# One of each loss, kind of target and setting that has a formula of its own.
CHOSEN = tuple(
    {
        (type(c.loss), c.given, *(getattr(c.loss, name, None) for name in ("selection", "inputs", "symmetric"))): c
        for c in CASES
    }.values()
)


def close(found: Any, true: Any, rtol: float) -> None:
    true = np.asarray(true, np.float64)
    np.testing.assert_allclose(np.asarray(found, np.float64), true, rtol, rtol * np.abs(true).max(initial=0.0))


def by_formula(loss: Any, y: Any, f: Array, weight: Array | None, reduction: str) -> Array:
    with np.errstate(all="ignore"):
        return loss._by_formula(*loss._accept(y, f, weight, False), reduction)


def weights(case: Case) -> Array:
    return np.random.default_rng(0).integers(0, 3, case.count) * 0.7


# --- in NumPy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@every
def test_formulas_are_what_the_host_computes(case: Case, reduction: str) -> None:
    for weight in (None, weights(case)):
        want = case.loss(case.y, case.f, weight, reduction)
        close(by_formula(case.loss, case.y, case.f, weight, reduction), want, 1e-13)


@pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
def test_what_does_not_count_may_hold_anything(case: Case) -> None:
    weight, f = np.ones(case.count), case.f.copy()
    weight[-1] = 0.0
    f[np.asarray(case.y)[-1] if case.given else -1] = np.nan
    weight = np.where(np.isnan(f[np.asarray(case.y)]).any((1, 2)), 0.0, 1.0) if case.given else weight
    close(by_formula(case.loss, case.y, f, weight, "sum"), case.loss(case.y, f, weight, "sum"), 1e-13)


EDGES: list[tuple[Any, Any, Array]] = [
    (lm.CTC(), [[1, 1]], np.zeros((1, 2, 3))),  # no path
    (lm.CTC(infeasible="exclude"), [[1, 1], [1, 2]], np.zeros((2, 2, 3))),
    (lm.CTC(), [[1]], np.array([[[0.0, -np.inf, 1.0], [1.0, 0.5, -np.inf]]])),
    (lm.CTC(), [[1]], np.array([[[np.inf, 0.0, 1.0], [0.0, np.inf, 0.0]]])),
    (lm.CTC(), [[1]], np.array([[[4.0, 0.0], [0.0, 2.0]]])),
    (lm.CTC(), np.empty((2, 0), int), np.zeros((2, 3, 2))),
    (lm.CTC(), [[2, 1]], np.random.default_rng(0).normal(0, 9, (1, 400, 3))),
    (lm.Dice(), np.zeros((2, 3)), np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])),  # empty masks
    (lm.Dice(inputs="logits"), np.ones((1, 3)), np.array([[0.0, 50.0, -800.0]])),
    (lm.Dice(inputs="logits", class_axis=1), np.zeros((1, 2), int), np.zeros((1, 3, 2))),  # ties
    (lm.Triplet(distance="euclidean"), [0, 0, 1], np.zeros((3, 2))),  # coinciding points
    (lm.Triplet(distance="cosine", soft=True), [0, 0, 1], np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])),
    (lm.Triplet(selection="hard"), [0, 0, 0], np.eye(3)),  # no negatives
    (lm.Triplet(selection="semi_hard"), [0, 1, 2], np.eye(3)),  # no positives
    (lm.Contrastive(), [0, 0, 1], np.zeros((3, 2))),
    (lm.Contrastive(distance="cosine"), [[0, 1, 0], [1, 2, 1]], np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])),
    (lm.NTXent(), [0, 0, 1, 1], np.eye(4)),
    (lm.NTXent(temperature=0.01), [0, 0, 1, 1], np.array([[1.0, 0.0], [1.0, 1e-9], [0.0, 0.0], [-1.0, 0.0]])),
    (lm.NTXent(), [0, 0, 0], np.eye(3)),
    (lm.InfoNCE(), [[0, 1]], np.eye(2)),
    (lm.InfoNCE(symmetric=True), [[0, 2], [1, 3]], np.eye(4)[:, :2]),
]
edges = pytest.mark.parametrize(("loss", "y", "f"), EDGES, ids=lambda x: repr(x) if hasattr(x, "traits") else "")


@edges
def test_edges(loss: Any, y: Any, f: Array) -> None:
    for reduction in ("mean", "none"):
        close(by_formula(loss, y, f, None, reduction), loss(y, f, reduction=reduction), 1e-13)


def test_nan_stays_nan() -> None:
    for case in CHOSEN:
        f = case.f.copy()
        f[0] = np.nan
        assert np.isnan(by_formula(case.loss, case.y, f, None, "sum")), case.name


# --- in TensorFlow's XLA ------------------------------------------------------------------------------------


def tensors(tf: Any, y: Any) -> Any:
    return type(y)(*map(tf.constant, y)) if isinstance(y, tuple) else tf.constant(np.asarray(y))


def compiled(loss: Any, y: Any, f: Array, weight: Array | None = None, reduction: str = "mean") -> tuple[Array, Array]:
    """Value and gradient of its sum in a program that XLA compiles."""
    tf = pytest.importorskip("tensorflow")

    def run(f: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(f)
            value = loss(tensors(tf, y), f, None if weight is None else tf.constant(weight), reduction)
        return value, tape.gradient(value, f)

    return tuple(part.numpy() for part in tf.function(run, jit_compile=True)(tf.constant(f)))


IN_XLA = [(case, "float64", 1e-12) for case in CHOSEN] + [(case, "float32", 1e-5) for case in CHOSEN[1::4]]


@pytest.mark.parametrize(("case", "dtype", "rtol"), IN_XLA, ids=lambda x: getattr(x, "name", ""))
def test_programs_of_xla(case: Case, dtype: str, rtol: float) -> None:
    f, weight = case.f.astype(dtype), weights(case).astype(dtype)
    value, gradient = compiled(case.loss, case.y, f, weight)
    assert value.dtype == gradient.dtype == dtype
    wide, own = f.astype(np.float64), weight.astype(np.float64)
    close(value, case.loss(case.y, wide, own), rtol)
    close(gradient, case.loss.gradient(case.y, wide, own), rtol)


@pytest.mark.parametrize(("loss", "y", "f"), EDGES[1::4], ids=lambda x: repr(x) if hasattr(x, "traits") else "")
def test_edges_in_xla(loss: Any, y: Any, f: Array) -> None:
    value, gradient = compiled(loss, y, f)
    close(value, loss(y, f), 1e-12)
    close(gradient, loss.gradient(y, f), 1e-12)


def test_a_wrong_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossmith.losses.embedding import formulas

    right = formulas.violated_slope
    monkeypatch.setattr(formulas, "violated_slope", lambda v, soft: 1.001 * right(v, soft))
    with pytest.raises(AssertionError):
        test_programs_of_xla(CASES[0], "float64", 1e-12)


def test_programs_for_any_number_of_samples() -> None:
    """The other losses: in Keras's training, whose last batch is smaller."""
    tf = pytest.importorskip("tensorflow")
    loss, y, f = lm.Triplet(), np.arange(6) % 2, np.random.default_rng(0).random((6, 3))

    def run(y: Any, f: Any) -> Any:
        return loss(y, f), loss.gradient(y, f)

    specs = [tf.TensorSpec((None, *a.shape[1:]), tf.as_dtype(a.dtype)) for a in (y, f)]
    program = tf.function(run, input_signature=specs, jit_compile=True)
    for n in (6, 4):
        value, gradient = program(tf.constant(y[:n]), tf.constant(f[:n]))
        close(value, loss(y[:n], f[:n]), 1e-12)
        close(gradient, loss.gradient(y[:n], f[:n]), 1e-12)


def test_shapes_are_checked_in_xla_too() -> None:
    for loss, y, f, weight, said in (
        (lm.Dice(), np.ones((2, 1)), np.ones((2, 3)), None, r"\(2, 1\).*\(2, 3\)"),
        (lm.Triplet(), np.zeros(3), np.ones((4, 2)), None, "one label for each of the 4"),
        (lm.CTC(), np.ones((2, 1), int), np.ones((3, 4, 2)), None, r"\(3, S\)"),
        (lm.Dice(), np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 1)), "sample_weight has shape"),
    ):
        with pytest.raises(ValueError, match=said):
            compiled(loss, y, f, weight)


def test_what_is_only_python_cannot_be_compiled() -> None:
    tf = pytest.importorskip("tensorflow")
    from lossmith.core import host

    program = tf.function(lambda f: host.run(lambda x: (x,), f, [], [(2,)])[0], jit_compile=True)
    with pytest.raises(TypeError, match=r"which TensorFlow's XLA cannot compile.*jit_compile=False") as refusal:
        program(tf.ones(2))
    assert "\n    " not in str(refusal.value).split("TypeError: ")[-1]


def test_second_derivatives_in_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    for case in CHOSEN[::3]:
        v, y, x = np.random.default_rng(2).normal(size=case.f.shape), tensors(tf, case.y), tf.constant(case.f)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = case.loss(y, x)
            along = tf.reduce_sum(inner.gradient(value, x) * v)
        higher, lower = (case.loss.gradient(case.y, case.f + h * v) for h in (1e-6, -1e-6))
        close(outer.gradient(along, x), (higher - lower) / 2e-6, 1e-5)
