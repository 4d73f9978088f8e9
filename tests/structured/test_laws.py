"""What holds for every structured loss: weights, reductions, order, dtypes, identity of a loss."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

import lossmith as lm
from structured.cases import CASES, Case

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
samples_stand_alone = pytest.mark.parametrize("case", [c for c in CASES if not c.by_label], ids=lambda c: c.name)
from_labels = pytest.mark.parametrize("case", [c for c in CASES if c.by_label], ids=lambda c: c.name)


def close(a, b, rtol=1e-13):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(np.asarray(b)).max())


# --- reductions and weights ---------------------------------------------------------------------------


@every_case
def test_unit_weights_equal_none(case: Case):
    ones = np.ones(case.count)
    for reduction in ("mean", "sum", "none"):
        close(case.loss(case.y, case.f, ones, reduction), case.loss(case.y, case.f, None, reduction))
        close(case.loss.gradient(case.y, case.f, ones), case.loss.gradient(case.y, case.f))


@every_case
def test_sum_is_the_sum_of_the_values(case: Case):
    weight = np.random.default_rng(0).uniform(0, 2, case.count)
    close(case.loss(case.y, case.f, weight, "none").sum(), case.loss(case.y, case.f, weight, "sum"))
    close(case.loss.gradient(case.y, case.f, weight, "none"), case.loss.gradient(case.y, case.f, weight, "sum"))


@samples_stand_alone
def test_mean_is_sum_wl_over_sum_w(case: Case):
    if getattr(case.loss, "average", "all") == "active":
        pytest.skip("counts active triplets only")
    if isinstance(case.loss, lm.InfoNCE):
        pytest.skip("a weight also counts among the negatives of other samples")
    weight = np.random.default_rng(0).uniform(0, 2, case.count)
    values = case.loss(case.y, case.f, reduction="none")
    close(case.loss(case.y, case.f, weight), (weight * values).sum() / weight.sum())


@samples_stand_alone
def test_integer_weights_equal_repetition(case: Case):
    weight = np.arange(case.count) % 3
    repeated = case.keep(case.y, case.f, np.repeat(np.arange(case.count), weight))
    close(case.loss(case.y, case.f, weight), case.loss(*repeated))


@every_case
def test_weight_0_equals_deletion(case: Case):
    weight = np.ones(case.count)
    weight[[0, 2]] = 0.0
    y, f = case.keep(case.y, case.f, np.flatnonzero(weight))
    spoiled = case.f.copy()
    if len(spoiled) == case.count:
        spoiled[[0, 2]] = np.nan
    close(case.loss(case.y, spoiled, weight), case.loss(y, f))
    gradient = case.loss.gradient(case.y, spoiled, weight)
    if len(spoiled) == case.count:
        assert (gradient[[0, 2]] == 0.0).all()
        gradient = gradient[weight > 0]
    close(gradient, case.loss.gradient(y, f))


@every_case
def test_all_weights_0_gives_0(case: Case):
    nothing = np.zeros(case.count)
    assert case.loss(case.y, case.f, nothing) == 0.0
    assert (case.loss.gradient(case.y, case.f, nothing) == 0.0).all()


@every_case
def test_gradient_scales_with_the_reduction(case: Case):
    value, gradient = case.loss.value_and_gradient(case.y, case.f)
    whole, steep = case.loss.value_and_gradient(case.y, case.f, reduction="sum")
    assert value == case.loss(case.y, case.f)
    close(gradient * whole, steep * value)


# --- order --------------------------------------------------------------------------------------------


@every_case
def test_order_of_samples_does_not_matter(case: Case):
    if case.given:
        rows = np.random.default_rng(2).permutation(case.count)
        close(case.loss(np.asarray(case.y)[rows], case.f), case.loss(case.y, case.f))
        return
    rows = np.random.default_rng(2).permutation(len(case.f))
    y, f = case.keep(case.y, case.f, rows)
    close(case.loss(y, f), case.loss(case.y, case.f))
    close(case.loss(y, f, reduction="none"), case.loss(case.y, case.f, reduction="none")[rows])
    close(case.loss.gradient(y, f), case.loss.gradient(case.y, case.f)[rows])


@from_labels
def test_names_of_classes_do_not_matter(case: Case):
    renamed = np.array([17, -4, 3, 1000])[case.y]
    assert case.loss(renamed, case.f) == case.loss(case.y, case.f)
    assert (case.loss.gradient(renamed, case.f) == case.loss.gradient(case.y, case.f)).all()


@pytest.mark.parametrize("case", [c for c in CASES if c.loss.traits.task == "embedding"], ids=lambda c: c.name)
def test_a_common_shift_or_turn_of_embeddings(case: Case):
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    shift = 0.0 if getattr(case.loss, "distance", "cosine") == "cosine" else 5.0
    close(case.loss(case.y, case.f @ turn + shift), case.loss(case.y, case.f), 1e-12)
    close(case.loss.gradient(case.y, case.f @ turn + shift), case.loss.gradient(case.y, case.f) @ turn, 1e-12)


# --- dtypes and containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@every_case
def test_dtype_is_kept_and_the_result_is_rounded_once(case: Case, dtype):
    f = case.f.astype(dtype)
    value, gradient = case.loss.value_and_gradient(case.y, f)
    wide_value, wide_gradient = case.loss.value_and_gradient(case.y, f.astype(np.float64))
    assert value.dtype == gradient.dtype == dtype
    assert case.loss(case.y, f, reduction="none").dtype == dtype
    assert value == dtype(wide_value)
    assert (gradient == wide_gradient.astype(dtype)).all()


@every_case
def test_inputs_are_not_written_to_and_may_be_strided(case: Case):
    f = np.asfortranarray(case.f)
    f.flags.writeable = False
    close(case.loss.gradient(case.y, f), case.loss.gradient(case.y, case.f))
    assert case.loss.gradient(case.y, case.f).shape == case.f.shape


@every_case
def test_out_is_filled(case: Case):
    out = (np.empty(()), np.empty(case.f.shape))
    assert case.loss.value_and_gradient(case.y, case.f, out) is out
    assert out[0] == case.loss(case.y, case.f)
    assert (out[1] == case.loss.gradient(case.y, case.f)).all()
    with pytest.raises(ValueError, match="out holds an array of shape"):
        case.loss.value_and_gradient(case.y, case.f, (np.empty(()), np.empty(3)))
    with pytest.raises(TypeError, match="tuple of 2"):
        case.loss.value_and_gradient(case.y, case.f, np.empty(3))


@every_case
def test_lists_are_taken(case: Case):
    y = case.y if isinstance(case.y, tuple) else np.asarray(case.y).tolist()
    assert case.loss(y, case.f.tolist()) == case.loss(case.y, case.f)


# --- identity -------------------------------------------------------------------------------------------


@every_case
def test_config_pickle_equality_and_repr(case: Case):
    loss = case.loss
    fields = {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}
    for twin in (lm.from_config(loss.to_config()), pickle.loads(pickle.dumps(loss)), lm.get(loss.name, **fields)):
        assert twin == loss
        assert hash(twin) == hash(loss)
        assert repr(twin) == repr(loss)
        assert twin(case.y, case.f) == loss(case.y, case.f)
    assert eval(repr(loss), vars(lm)) == loss


def test_other_parameters_make_another_loss():
    assert lm.Triplet(margin=0.3) != lm.Triplet()
    assert lm.CTC(blank=1) != lm.CTC()
    assert lm.Dice(smooth=1.0) != lm.Dice()
    assert lm.Contrastive() != lm.Triplet()


@pytest.mark.parametrize("name", ["triplet", "contrastive", "nt_xent", "info_nce", "ctc", "dice"])
def test_names_resolve_and_say_what_they_are(name):
    loss = lm.get(name)
    assert loss.tier == "structured"
    assert loss.name == name
    assert all(lm.get(alias) == loss for alias in loss.aliases)
    assert loss in lm.find(task=loss.traits.task)
    for text in (loss.about.formula, loss.about.gradient, loss.about.pros, loss.about.cons, loss.about.reference):
        assert text
