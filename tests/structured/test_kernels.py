"""Kernels of sequences and masks against NumPy, against 60 digits, and against what a kernel might get wrong."""

from __future__ import annotations

import tracemalloc

import mpmath as mp
import numpy as np
import pytest

import lossmith as lm
from lossmith.core import structured
from lossmith.engine import jit, pool
from lossmith.losses import sequence
from structured import obvious, test_bad_input, test_laws
from structured.cases import CASES, Case
from structured.test_exact import GRADIENT, VALUE, distance

OURS = [case for case in CASES if isinstance(case.loss, lm.CTC | lm.Dice)]
each = pytest.mark.parametrize("case", OURS, ids=lambda c: c.name)
needs_kernels = pytest.mark.skipif(not jit.available(), reason="numba compiles nothing here")


@pytest.fixture
def kernel(monkeypatch):
    if not jit.available():
        pytest.skip("numba compiles nothing here")
    monkeypatch.setattr(structured, "KERNEL_FROM", 1)


def ways(monkeypatch, compute):
    """What NumPy and the kernel compute."""
    monkeypatch.setattr(structured, "KERNEL_FROM", 2**62)
    plain = compute()
    monkeypatch.setattr(structured, "KERNEL_FROM", 1)
    return plain, compute()


def sequences(seed=0, n=6, frames=60, classes=9, size=12, scale=2.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    f = rng.normal(0, scale, (n, frames, classes)).astype(dtype)
    y = rng.integers(1, classes, (n, size))
    y[:, 1::3] = y[:, ::3]
    return lm.CTC.targets(y, rng.integers(0, size + 1, n), rng.integers(2 * size, frames + 1, n)), f


def masks(loss, dtype=np.float64, shape=(3, 4, 37, 5)):
    rng = np.random.default_rng(1)
    f = rng.normal(0, 2, shape) if loss.inputs == "logits" else rng.random(shape)
    return (rng.random(shape) < 0.4) * 1.0, f.astype(dtype)


def agree(found, true, rtol=1e-12):
    for a, b in zip(found, true, strict=True):
        b = np.asarray(b, np.float64)
        top = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=rtol, atol=rtol * top)


# --- the same numbers -----------------------------------------------------------------------------------------


@needs_kernels
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_ctc_agrees_with_numpy(monkeypatch, seed, reduction):
    y, f = sequences(seed, scale=[0.1, 2.0, 30.0, 1e3][seed])
    f[1, 3, 2], f[2, 5, 4], f[2, 5, 6], f[3, :, 7] = np.inf, np.inf, np.inf, -np.inf
    weight = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.0])
    for loss in (lm.CTC(), lm.CTC(blank=8), lm.CTC(infeasible="exclude")):
        own = y._replace(labels=y.labels - 1) if loss.blank else y
        plain, fast = ways(
            monkeypatch, lambda loss=loss, own=own: loss.value_and_gradient(own, f, None, weight, reduction)
        )
        agree(fast, plain)


@needs_kernels
@pytest.mark.parametrize("axis", [None, 1, 2, -1])
@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
@pytest.mark.parametrize("setting", [{}, {"smooth": 1.0}, {"squared": True}], ids=str)
def test_dice_agrees_with_numpy(monkeypatch, axis, inputs, setting):
    loss = lm.Dice(inputs=inputs, class_axis=axis, **setting)
    y, f = masks(loss)
    targets = [y, y.astype(bool), y.astype(np.float32), y.astype(np.int16)]
    if axis is not None:
        targets += [y.argmax(axis), y.argmax(axis).astype(np.uint8), y.argmax(axis).astype(float)]
    for target in targets:
        for weight in (None, np.array([1.0, 0.0, 2.5])):
            plain, fast = ways(monkeypatch, lambda t=target, w=weight: loss.value_and_gradient(t, f, None, w, "mean"))
            agree(fast, plain)


@needs_kernels
def test_the_comparison_rejects_a_neighbouring_input(monkeypatch):
    y, f = sequences()
    plain, fast = ways(monkeypatch, lambda: lm.CTC().value_and_gradient(y, f))
    agree(fast, plain)
    moved = f.copy()
    moved[0, 0, 1] += 1e-9
    for wrong in (lm.CTC().value_and_gradient(y, moved), (plain[0], -plain[1]), (plain[0] * (1 + 1e-11), plain[1])):
        with pytest.raises(AssertionError):
            agree(wrong, plain)


@each
def test_value_and_gradient_are_the_textbooks(kernel, case: Case):
    value, gradient = case.loss.value_and_gradient(case.y, case.f)
    assert distance(value, obvious.mean(case.terms(obvious.exact(case.f)))) < VALUE
    assert distance(gradient, obvious.gradient(case.terms, case.f)) < GRADIENT


LAWS = [
    test_laws.test_unit_weights_equal_none,
    test_laws.test_sum_is_the_sum_of_the_values,
    test_laws.test_mean_is_sum_wl_over_sum_w,
    test_laws.test_integer_weights_equal_repetition,
    test_laws.test_weight_0_equals_deletion,
    test_laws.test_all_weights_0_gives_0,
    test_laws.test_gradient_scales_with_the_reduction,
    test_laws.test_order_of_samples_does_not_matter,
    test_laws.test_inputs_are_not_written_to_and_may_be_strided,
    test_laws.test_out_is_filled,
    test_laws.test_lists_are_taken,
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@each
def test_laws_hold(kernel, law, case: Case):
    law(case)


BAD = [case for case in test_bad_input.BAD if case[0].partition("(")[0] in ("ctc", "dice")]


@pytest.mark.parametrize(("name", "y", "f", "weight", "words"), BAD, ids=[f"{b[0]}-{b[4][:30]}" for b in BAD])
def test_one_clear_line(kernel, name, y, f, weight, words):
    test_bad_input.test_one_clear_line(name, y, f, weight, words)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_float32_is_within_an_ulp_of_the_exact_result(kernel, case: Case, dtype):
    """Not always the nearest: exponentials are computed to 30 bits where the result has 24."""
    f = case.f.astype(dtype)
    found = case.loss.value_and_gradient(case.y, f)
    wide = case.loss.value_and_gradient(case.y, f.astype(np.float64))
    for a, b in zip(found, wide, strict=True):
        assert a.dtype == dtype
        largest = np.abs(b).max()
        assert (np.abs(a.astype(float) - b) <= np.spacing(np.abs(b).astype(dtype)) + 2.0**-29 * largest).all()


# --- 60 digits ------------------------------------------------------------------------------------------------


def lattice(rows, labels, blank=0):
    """Return -log P and the share of paths in each class, by plain sums over the lattice in 60 digits."""
    states = [blank]
    for label in labels:
        states += [label, blank]
    p = []
    for row in rows:
        e = [mp.exp(mp.mpf(float(z)) - mp.mpf(float(max(row)))) for z in row]
        total = mp.fsum(e)
        p.append([v / total for v in e])
    before = {s: [q for q in (s, s - 1) if q >= 0] for s in range(len(states))}
    for s in range(3, len(states), 2):
        if states[s] != states[s - 2]:
            before[s].append(s - 2)
    ahead = [[mp.mpf(1)] + [mp.mpf(0)] * (len(states) - 1)]
    for q in p:
        ahead.append([q[states[s]] * sum(ahead[-1][r] for r in before[s]) for s in range(len(states))])
    on = [mp.mpf(s >= len(states) - 2) for s in range(len(states))]
    gradient = np.zeros(np.shape(rows))
    chance = sum(a * b for a, b in zip(ahead[-1], on, strict=True))
    for t in range(len(p) - 1, -1, -1):
        share = [mp.mpf(0)] * len(p[t])
        for s, c in enumerate(states):
            share[c] += ahead[t + 1][s] * on[s] / chance
        gradient[t] = [float(a - b) for a, b in zip(p[t], share, strict=True)]
        emitted = [p[t][c] * b for c, b in zip(states, on, strict=True)]
        on = [sum(emitted[s] for s in range(len(states)) if r in before[s]) for r in range(len(states))]
    return -mp.log(chance), gradient


def test_the_lattice_is_the_sum_over_paths():
    case = next(c for c in CASES if c.loss == lm.CTC())
    terms = case.terms(obvious.exact(case.f))
    for n, (_, value) in enumerate(terms):
        labels = [c for c in np.asarray(case.y.labels)[n] if c >= 0]
        rows = case.f[n, : np.asarray(case.y.input_lengths)[n]]
        assert abs(lattice(rows, labels)[0] - value) < mp.mpf(10) ** -50


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_two_thousand_frames_keep_their_digits(way, scale):
    rng = np.random.default_rng(3)
    f = rng.normal(0, scale, (1, 2000, 4))
    labels = [1, 2, 2, 3, 1, 3, 3, 2]
    value, gradient = lm.CTC().value_and_gradient([labels], f)
    exact, slope = lattice(f[0], labels)
    assert abs(value - float(exact)) <= 1e-14 * abs(float(exact))
    assert np.abs(gradient[0] - slope).max() < 1e-11


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e8])
def test_logits_far_apart_underflow_nowhere(way, scale):
    """The best path has a probability of about exp(-10 scale); others are far below any float's range."""
    f = np.random.default_rng(4).normal(0, scale, (1, 40, 4))
    labels = [1, 2, 1, 1, 3]
    value, gradient = lm.CTC().value_and_gradient([labels], f)
    exact, slope = lattice(f[0], labels)
    assert abs(value - float(exact)) <= 1e-14 * float(exact)
    assert np.abs(gradient[0] - slope).max() < 1e-6 * max(1.0, scale / 1e8)


@pytest.mark.parametrize("margin", [5.0, 12.0, 30.0, 100.0, 700.0])
def test_a_sure_sequence_keeps_its_digits(way, margin):
    """With P = 1 - 1e-30, a loss made of P would be 0."""
    labels = [1, 2, 2, 3]
    best = [0, 1, 1, 0, 2, 0, 0, 2, 3, 0, 0]
    f = np.random.default_rng(5).normal(0, 1e-2, (1, len(best), 4))
    f[0, np.arange(len(best)), best] += margin
    value = lm.CTC()([labels], f)
    assert value == pytest.approx(float(lattice(f[0], labels)[0]), rel=1e-13)


# --- which way, and what it costs ---------------------------------------------------------------------------------


@needs_kernels
def test_the_way_depends_on_size_and_dtype_only(monkeypatch):
    seen = []
    monkeypatch.setattr(
        sequence.CTC,
        "_sweep",
        lambda self, parts, f, share, place: seen.append(f.shape) or structured.Evaluation(share, None),
    )
    small, large = np.zeros((2, 20, 5)), np.zeros((4, 100, 100))
    lm.CTC()([[1, 2]] * 2, small)
    lm.CTC()([[1, 2]] * 4, large.astype(np.float16))
    assert not seen
    for _ in range(2):
        lm.CTC()([[1, 2]] * 4, large)
        lm.CTC()([[1, 2]] * 4, large.astype(np.float32))
    assert seen == [large.shape] * 4


def test_large_inputs_without_numba(monkeypatch):
    y, f = sequences(n=8, frames=120, classes=40)
    expected = lm.CTC().value_and_gradient(y, f)
    dice = lm.Dice(inputs="logits", class_axis=1)
    target, logits = masks(dice, shape=(4, 3, 60, 60))
    pair = dice.value_and_gradient(target, logits)
    monkeypatch.setattr(jit, "available", lambda: False)
    agree(lm.CTC().value_and_gradient(y, f), expected)
    agree(dice.value_and_gradient(target, logits), pair)


def peak(work):
    work()
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_a_value_costs_no_gradient(kernel):
    y, f = sequences(n=32, frames=60, classes=400)
    logits = np.zeros((8, 200, 200))
    for loss, target, x in ((lm.CTC(), y, f), (lm.Dice(inputs="logits"), logits, logits)):
        assert peak(lambda loss=loss, t=target, x=x: loss(t, x)) < 0.3 * x.nbytes
        assert x.nbytes <= peak(lambda loss=loss, t=target, x=x: loss.value_and_gradient(t, x)) < 1.3 * x.nbytes
        narrow = x.astype(np.float32)
        assert peak(lambda loss=loss, t=target, x=narrow: loss.value_and_gradient(t, x)) < 1.7 * narrow.nbytes


def test_a_value_in_numpy_asks_for_no_shares(monkeypatch):
    y, f = sequences()
    expected = lm.CTC()(y, f, reduction="none")
    monkeypatch.setattr(sequence, "posteriors", None)
    assert (lm.CTC()(y, f, reduction="none") == expected).all()
    with pytest.raises(TypeError):
        lm.CTC().gradient(y, f)


def test_values_have_the_same_bits_with_and_without_gradient(way):
    y, f = sequences()
    for loss, target, x in ((lm.CTC(), y, f), (lm.Dice(inputs="logits"), *masks(lm.Dice(inputs="logits")))):
        value, _ = loss.value_and_gradient(target, x, reduction="none")
        assert (loss(target, x, reduction="none") == value).all()


# --- arrays of any kind -------------------------------------------------------------------------------------------


def test_any_number_of_threads_gives_the_same_bits(kernel, monkeypatch):
    y, f = sequences(n=7)
    dice = lm.Dice(inputs="logits", class_axis=1)
    target, logits = masks(dice, shape=(3, 2, 100, 100))
    found = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(pool, "threads", lambda n=threads: n)
        found.append((*lm.CTC().value_and_gradient(y, f), *dice.value_and_gradient(target, logits)))
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_strided_and_read_only_inputs(kernel, dtype):
    y, f = sequences(dtype=dtype)
    time_first = np.ascontiguousarray(f.transpose(1, 0, 2)).transpose(1, 0, 2)
    every_other = np.repeat(f, 2, axis=2)[:, :, ::2]
    fixed = f.copy()
    fixed.flags.writeable = False
    value, gradient = lm.CTC().value_and_gradient(y, f)
    for x in (time_first, every_other, fixed, np.asfortranarray(f)):
        again = lm.CTC().value_and_gradient(y, x)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_may_take_the_place_of_the_predictions(way, dtype):
    y, f = sequences(dtype=dtype)
    dice = lm.Dice(inputs="logits", class_axis=-1)
    target, logits = masks(dice, dtype)
    for loss, t, x in ((lm.CTC(), y, f), (dice, target, logits)):
        value, gradient = loss.value_and_gradient(t, x.copy())
        room = np.zeros(x.size + 1, dtype)
        room[1:] = x.ravel()
        shifted = room[1:].reshape(x.shape)
        for place, source in ((x, x), (room[:-1].reshape(x.shape), shifted)):
            out = (np.empty((), dtype), place)
            loss.value_and_gradient(t, source, out)
            assert out[0] == value
            np.testing.assert_array_equal(place, gradient)


def test_bad_out_is_refused_before_anything_is_computed(way):
    y, f = sequences()
    for out in (
        (np.empty(3), np.empty_like(f)),
        (np.empty(()), np.empty(f.shape, np.float32)),
        (1.0, np.empty_like(f)),
    ):
        with pytest.raises((TypeError, ValueError), match="out"):
            lm.CTC().value_and_gradient(y, f, out)


@needs_kernels
@pytest.mark.parametrize("axis", [None, -1])
def test_dice_of_infinite_and_missing_logits(monkeypatch, axis):
    loss = lm.Dice(inputs="logits", class_axis=axis)
    y, f = masks(loss)
    f[0, 0, :3, :2], f[0, 1, 1, 2], f[0, 2, 0] = np.inf, -np.inf, -np.inf
    f[1, 2, 2, 1] = np.nan
    plain, fast = ways(monkeypatch, lambda: loss.value_and_gradient(y, f, None, None, "none"))
    assert np.isnan(plain[0]).tolist() == np.isnan(fast[0]).tolist() == [False, True, False]
    agree([x[[0, 2]] for x in fast], [x[[0, 2]] for x in plain])


def test_labels_longer_than_a_vector_and_none_at_all(kernel):
    """Rows of states are filled up to whole vectors, and sequences of a batch use the same rows one after the other."""
    rng = np.random.default_rng(6)
    f = rng.normal(size=(18, 40, 5))
    labels = rng.integers(1, 5, (18, 17))
    for lengths in (np.arange(18), np.arange(18)[::-1]):
        y = lm.CTC.targets(labels, lengths)
        value, gradient = lm.CTC().value_and_gradient(y, f, reduction="none")
        for n in (0, 1, 7, 8, 9, 15, 16, 17):
            own, slope = lm.CTC().value_and_gradient(labels[n : n + 1, : lengths[n]], f[n : n + 1], reduction="none")
            assert own[0] == value[n]
            np.testing.assert_array_equal(slope[0], gradient[n])
