"""A loss in the Trainer: accumulation equals one batch, -100 does not count, the shift is said."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.loss import Loss

torch = pytest.importorskip("torch")


def tokens(seed: int = 0, rows: int = 6, length: int = 5, classes: int = 4) -> tuple[Any, Any]:
    """Logits (N, T, C), and labels (N, T), some of which do not count."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (rows, length))
    labels[rng.random(labels.shape) < 0.4] = -100
    return torch.tensor(rng.normal(size=(rows, length, classes))), torch.tensor(labels)


def numbers(draw: Any, seed: int = 0, n: int = 12) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=n)), torch.tensor(draw(rng, n))


def gradient(value: Any, by: Any) -> Any:
    return torch.autograd.grad(value, by)[0]


# --- the value ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_tokens_cost_what_torch_says(shift: bool, smoothing: float) -> None:
    logits, labels = tokens()
    logits.requires_grad_()
    value = lm.to_huggingface(lm.CategoricalCrossEntropy(label_smoothing=smoothing), shift=shift)((logits,), labels)
    f, y = (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)
    theirs = torch.nn.functional.cross_entropy(f.reshape(-1, 4), y.reshape(-1), label_smoothing=smoothing)
    torch.testing.assert_close(value, theirs, rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient(value, logits), gradient(theirs, logits), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("size", [(6, 8), (3, 4)])
def test_masks_of_segmentation_models(size: tuple[int, int]) -> None:
    """As SegformerForSemanticSegmentation has it: logits are enlarged to the size of the labels."""
    rng = np.random.default_rng(1)
    logits = torch.tensor(rng.normal(size=(2, 5, *size)), requires_grad=True)
    labels = torch.tensor(np.where(rng.random((2, 6, 8)) < 0.2, -100, rng.integers(0, 5, (2, 6, 8))))
    value = lm.to_huggingface("cce")({"logits": logits}, labels)
    enlarged = torch.nn.functional.interpolate(logits, size=(6, 8), mode="bilinear", align_corners=False)
    theirs = torch.nn.functional.cross_entropy(enlarged, labels)
    torch.testing.assert_close(value, theirs, rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient(value, logits), gradient(theirs, logits), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("loss", "batch"),
    [
        (lm.CategoricalCrossEntropy(), tokens()),
        (lm.CategoricalCrossEntropy(class_weights=(1.0, 2.0, 0.5, 3.0), ignore_index=-100), tokens()),
        (lm.CategoricalFocal(), tokens()),
        (lm.MultiMargin(), tokens()),
        (lm.WeightedSum(("cce", "categorical_focal"), (1.0, 0.5)), tokens()),
        (lm.Huber(), numbers(lambda rng, n: rng.normal(size=n))),
        (lm.BinaryCrossEntropy(), numbers(lambda rng, n: rng.choice([0, 1, -100], n))),
        (lm.Hinge(), numbers(lambda rng, n: rng.choice([-1, 1, -100], n))),
        (lm.PoissonNLL(), numbers(lambda rng, n: rng.choice([0, 3, 5, -100], n))),
    ],
    ids=lambda value: value.name if isinstance(value, Loss) else "",
)
def test_accumulated_batches_equal_one(loss: Any, batch: Any) -> None:
    """Unequal batches with unequal shares of ignored labels: values and gradients add up to those of one batch."""
    logits, labels = batch
    logits = logits.clone().requires_grad_()
    compute = lm.to_huggingface(loss, shift=False if logits.ndim == 3 else None)
    kept = labels != -100
    known = labels.masked_fill(~kept, 1)
    whole = compute({"logits": logits}, labels)
    textbook = (loss(known, logits, reduction="none") * kept).sum() / kept.sum()
    torch.testing.assert_close(whole, textbook, rtol=1e-12, atol=0)
    count = kept.sum()
    for items in (count, int(count)):
        parts = [
            compute({"logits": logits[cut]}, labels[cut], num_items_in_batch=items)
            for cut in (slice(0, 1), slice(1, 3), slice(3, None))
        ]
        torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient(sum(parts), logits), gradient(whole, logits), rtol=1e-12, atol=1e-16)
        whole = compute({"logits": logits}, labels)
    means = torch.stack([compute({"logits": logits[cut]}, labels[cut]) for cut in (slice(0, 1), slice(1, None))])
    assert abs(float((means.mean() - whole).detach())) > 1e-3, "control: the mean of means is another number"


def test_an_ignored_place_may_hold_anything() -> None:
    logits, labels = tokens()
    kept = labels != -100
    expected = lm.to_huggingface("cce", shift=False)(logits, labels)
    logits[~kept] = float("nan")
    logits.requires_grad_()
    value = lm.to_huggingface("cce", shift=False)(logits, labels)
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=0)
    slope = gradient(value, logits)
    assert torch.isfinite(slope).all()
    assert (slope[~kept] == 0).all()


def test_nothing_to_learn_from_costs_nothing() -> None:
    logits, labels = tokens()
    compute = lm.to_huggingface("cce", shift=False)
    none = torch.full_like(labels, -100)
    for items in (None, 0, torch.tensor(0)):
        assert compute(logits, none, items) == 0
    assert compute(logits, none, 7) == 0


def test_a_real_target_of_minus_100_counts() -> None:
    f, y = torch.tensor([0.0, 0.0]), torch.tensor([-100.0, 2.0])
    assert lm.to_huggingface("mae")(f, y) == 51.0
    gaussian = lm.to_huggingface("gaussian_nll")
    rows = torch.tensor([[0.0, 9.0], [0.0, 0.0]])
    assert gaussian(rows, y) == pytest.approx(float(lm.GaussianNLL()(y, rows)))


def test_target_rows_count_once_though_the_trainer_counts_their_numbers() -> None:
    logits, _ = tokens()
    logits = logits[:, 0]
    rows = torch.softmax(logits.flip(0), 1)
    expected = lm.CategoricalCrossEntropy()(rows, logits)
    compute = lm.to_huggingface("cce")
    for items in (None, rows.ne(-100).sum(), rows.numel()):
        torch.testing.assert_close(compute(logits, rows, items), expected, rtol=1e-13, atol=0)
    labels = (rows > 0.3).double()
    several = lm.to_huggingface("bce")(logits, labels, labels.ne(-100).sum())
    torch.testing.assert_close(several, torch.nn.functional.binary_cross_entropy_with_logits(logits, labels))


def test_outputs_of_all_kinds() -> None:
    f, y = torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0])
    for outputs in ({"logits": f, "hidden": None}, (f, None), [f], f, f[:, 0]):
        assert lm.to_huggingface("mse")(outputs, y) == 5.0
    assert lm.to_huggingface("mse", output="prediction")({"prediction": f}, y) == 5.0
    half = lm.to_huggingface("mse")(f.bfloat16() * 200, y)
    assert half.dtype == torch.float32
    assert half == 200_000.0


def test_it_is_a_value() -> None:
    compute = lm.to_huggingface("huber(delta=2)")
    assert pickle.loads(pickle.dumps(compute)) == compute == dataclasses.replace(compute)
    assert "Huber(delta=2.0)" in repr(compute)


@pytest.mark.parametrize(
    ("attempt", "error", "words"),
    [
        (lambda: lm.to_huggingface(None), TypeError, "got NoneType"),
        (lambda: lm.to_huggingface("nt_xent"), ValueError, "is no sum over items"),
        (lambda: lm.to_huggingface(lm.WeightedSum(("dice", "bce"))), ValueError, "is no sum over items"),
        (lambda: lm.to_huggingface(lm.WeightedSum(("cce", "bce"))), ValueError, "without items in common"),
        (lambda: lm.to_huggingface(lm.CategoricalCrossEntropy(ignore_index=0)), ValueError, "ignores 0.*use -100"),
        (lambda: lm.to_huggingface("mse", shift=True), ValueError, "for losses on rows"),
        (lambda: lm.to_huggingface("cce")(*tokens()), ValueError, r"shape \(6, 5, 4\); say shift=True if position"),
        (lambda: lm.to_huggingface("cce", shift=True)(tokens()[0][:, 0], None), TypeError, "labels is None"),
        (lambda: lm.to_huggingface("cce", shift=True)(tokens()[0][:, 0], tokens()[1]), ValueError, r"takes logits \(N"),
        (lambda: lm.to_huggingface("cce")({"loss": 1}, tokens()[1]), ValueError, "the model returned loss; say output"),
    ],
)
def test_refusals_are_one_line(attempt: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        attempt()
    assert "\n" not in str(caught.value)
