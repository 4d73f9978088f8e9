"""Row kernels and what callers may hand them: layouts, buffers, labels, weights, and what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engine import rows
from row_tables import LOSSES, NEVER, by_numpy, sample

pytest.importorskip("numba")

# --- what callers hand over ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "laid",
    [
        lambda f: np.asfortranarray(f),
        lambda f: np.repeat(f, 2, 0)[::2],
        lambda f: np.repeat(f, 2, 1)[:, ::2],
        lambda f: f[::-1][::-1],
        lambda f: np.broadcast_to(f, f.shape),
        lambda f: f[:, ::-1].copy()[:, ::-1],
        lambda f: f.reshape(30, 10, -1),
    ],
    ids=["fortran", "rows", "columns", "twice", "read-only", "backwards", "3-d"],
)
def test_any_layout(laid: Any, always: None) -> None:
    y, f = sample()
    loss = lm.CategoricalCrossEntropy()
    want = loss.value_and_gradient(y, f)
    given = laid(f)
    before = given.copy()
    got = loss.value_and_gradient(y.reshape(given.shape[:-1]), given)
    np.testing.assert_array_equal(got[0].reshape(-1), want[0])
    np.testing.assert_array_equal(got[1].reshape(f.shape), want[1])
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("loss", [*LOSSES, lm.KLDivergence()], ids=repr)
@pytest.mark.parametrize("compiled", [True, False], ids=["kernel", "numpy"])
def test_the_gradient_may_take_the_logits_place(loss: Any, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "KERNEL_FROM", 1 if compiled else NEVER)
    y, f = sample()
    if loss.name == "kl_divergence":
        y = np.full(f.shape, 1 / 7, np.float32)
    want = loss.value_and_gradient(y, f)
    for place in (f.copy(), np.asfortranarray(f), np.repeat(f, 2, 0)[::2]):
        values = np.empty(len(f), np.float32)
        got = loss.value_and_gradient(y, place, out=(values, place))
        assert got[1] is place
        np.testing.assert_array_equal(values, want[0])
        np.testing.assert_array_equal(place, want[1])


def test_out_is_filled_wherever_it_lies(always: None) -> None:
    y, f = sample()
    loss = lm.CategoricalCrossEntropy()
    want = loss.value_and_gradient(y, f)
    memory = np.zeros((600, 14), np.float32)
    for slopes in (np.empty_like(f), np.empty_like(f, order="F"), memory[::2, ::2], memory[:300, 7:]):
        values = np.empty(600, np.float32)[::2]
        loss.value_and_gradient(y, f, out=(values, slopes))
        np.testing.assert_array_equal(values, want[0])
        np.testing.assert_array_equal(slopes, want[1])


def test_out_that_overlaps_the_logits_is_filled_too(always: None) -> None:
    y, f = sample()
    loss = lm.CategoricalCrossEntropy()
    want = loss.value_and_gradient(y, f)
    memory = np.zeros(f.size + 70, np.float32)
    place = memory[: f.size].reshape(f.shape)
    place[:] = f
    shifted = memory[70:].reshape(f.shape)
    loss.value_and_gradient(y, place, out=(np.empty(len(f), np.float32), shifted))
    np.testing.assert_array_equal(shifted, want[1])


@pytest.mark.parametrize("out", [None, (np.empty(3),) * 2, [1, 2], (np.empty(300, np.float32),)])
def test_out_that_does_not_fit(out: Any, always: None) -> None:
    y, f = sample()
    if out is None:
        frozen = np.empty_like(f)
        frozen.flags.writeable = False
        out = (np.empty(300, np.float32), frozen)
    with pytest.raises((TypeError, ValueError), match="out "):
        lm.CategoricalCrossEntropy().value_and_gradient(y, f, out=out)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.int64, np.uint64, np.float32, np.float64])
def test_labels_of_any_dtype(kind: Any, always: None) -> None:
    y, f = sample()
    loss = lm.CategoricalCrossEntropy()
    np.testing.assert_array_equal(loss.gradient(y.astype(kind), f), loss.gradient(y, f))
    np.testing.assert_array_equal(loss.gradient(np.repeat(y, 3)[::3].astype(kind), f), loss.gradient(y, f))


# --- weights and bad input ----------------------------------------------------------------------------


def test_weights_ignored_labels_and_class_weights(kernels: str) -> None:
    y, f = sample(dtype=np.float64)
    y[::5] = -100
    loss = lm.CategoricalCrossEntropy(class_weights=np.linspace(0, 2, 7).tolist(), ignore_index=-100, z_loss=0.1)
    weight = np.random.default_rng(1).random(300)
    weight[::7] = 0.0
    f[::7] = np.nan
    got = loss(y, f, weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "KERNEL_FROM", NEVER)
        want = loss(y, f, weight)
    assert got == pytest.approx(want, rel=1e-13)
    kept = weight > 0
    assert got == pytest.approx(loss(y[kept], f[kept], weight[kept]), rel=1e-13)
    assert not loss.gradient(y[::5][1:2], f[::5][1:2]).any()


def test_ignored_labels_on_probabilities(always: None) -> None:
    p = np.tile([0.5, 0.3, 0.2], (4, 1))
    loss = lm.CategoricalCrossEntropy("probabilities", class_weights=[1.0, 2.0, 3.0], ignore_index=-1)
    values, slopes = loss.value_and_gradient([0, -1, 2, 1], p)
    np.testing.assert_allclose(values, [-np.log(0.5), 0, -3 * np.log(0.2), -2 * np.log(0.3)], rtol=1e-15)
    np.testing.assert_allclose(slopes, [[-2, 0, 0], [0, 0, 0], [0, 0, -15], [0, -2 / 0.3, 0]], rtol=1e-15)


@pytest.mark.parametrize(
    ("y", "settings"),
    [
        (np.r_[np.zeros(250, int), 7, np.zeros(49, int)], {}),
        (np.r_[np.zeros(299, int), -1], {}),
        (np.r_[np.zeros(299, int), -1], {"ignore_index": -100}),
        (np.r_[np.zeros(299, int), -1], {"label_smoothing": 0.1}),
        (np.r_[np.zeros(299), 0.5], {}),
        (np.r_[np.zeros(299), np.nan], {}),
        (np.full((300, 7), 0.2), {}),
        (np.full((300, 7), 0.2, np.float32), {"label_smoothing": 0.1}),
        (np.tile([2.0, -1, 0, 0, 0, 0, 0], (300, 1)), {}),
        (np.full((300, 7), np.nan), {}),
        (np.zeros(299, int), {}),
        (np.zeros((300, 6)), {}),
    ],
)
def test_wrong_targets_give_the_same_line(y: Any, settings: Any, kernels: str) -> None:
    loss = lm.CategoricalCrossEntropy(**settings)
    f = sample()[1]
    lines = []
    for compute in (loss.value_and_gradient, lambda y, f: by_numpy(loss, y, f)):
        with pytest.raises(ValueError, match="CategoricalCrossEntropy") as found:
            compute(y, f)
        lines.append(str(found.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]


@pytest.mark.parametrize("loss", [lm.CategoricalCrossEntropy("probabilities"), lm.KLDivergence("probabilities")])
@pytest.mark.parametrize("kind", ["sum", "negative", "above", "target", "nan", "fine"])
def test_wrong_probabilities_give_the_same_line(loss: Any, kind: str, always: None) -> None:
    p = np.full((300, 4), 0.25)
    y = p.copy()
    wrong = y if kind == "target" else p
    wrong[7] = {"negative": [-0.5, 0.5, 0.5, 0.5], "above": [1.5, 0, -0.5, 0], "nan": [np.nan, 0, 2, 1]}.get(kind, 0.3)
    if kind == "fine":
        p[7] = 0.25
    lines = []
    for compute in (loss.value_and_gradient, lambda y, f: by_numpy(loss, y, f)):
        try:
            compute(y, p)
            lines.append("")
        except ValueError as error:
            lines.append(str(error))
    assert lines[0] == lines[1]
    assert bool(lines[0]) == (kind not in ("nan", "fine"))


def test_a_wrong_label_leaves_out_alone(always: None) -> None:
    f = sample()[1]
    before = f.copy()
    with pytest.raises(ValueError, match="holds the label 7"):
        lm.CategoricalCrossEntropy().value_and_gradient(np.full(300, 7), f, out=(np.empty(300, np.float32), f))
    np.testing.assert_array_equal(f, before)
