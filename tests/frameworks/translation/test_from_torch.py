"""Losses of torch in Lossmith's words: the same values and gradients as torch's own, in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import KINKS, sample, smooth

torch = pytest.importorskip("torch")
nn, fn = torch.nn, torch.nn.functional
W = torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64)
BATCH = {"mean": "batchmean", "sum": "sum"}
BOTH, NO_MEAN = ("mean", "sum", "none"), ("sum", "none")


def _plain(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, y)


def _signed(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, 2 * y - 1)


def _logs(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f, y.log())


def _columns(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f[:, 0], y, f[:, 1])


def _three(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(*f.reshape(3, -1, f.shape[-1]))


def _frames(theirs: Any, y: Any, f: Any) -> Any:
    lengths = torch.full((len(f),), f.shape[1]), torch.full((len(f),), y.shape[1])
    return theirs(f.log_softmax(-1).transpose(0, 1), y, *lengths)


def _table(theirs: Any, y: Any, f: Any) -> Any:
    return theirs(f.reshape(-1, 3), y.reshape(-1, 3))


# How to make torch's loss for a reduction, how torch is called, reductions, tolerance.
Case = tuple[Callable[[str], Any], Any, tuple[str, ...], float]


def _case(kind: Any, call: Any = _plain, reductions: tuple[str, ...] = BOTH, rtol: float = 1e-12, **given: Any) -> Case:
    make = functools.partial(kind, **given)
    return lambda reduction: make(reduction=reduction), call, reductions, rtol


CASES: dict[str, Case] = {
    "MSELoss": _case(nn.MSELoss),
    "L1Loss": _case(nn.L1Loss),
    "HuberLoss": _case(nn.HuberLoss),
    "HuberLoss(delta=2)": _case(nn.HuberLoss, delta=2.0),
    "SmoothL1Loss": _case(nn.SmoothL1Loss),
    "SmoothL1Loss(beta=2)": _case(nn.SmoothL1Loss, beta=2.0),
    "SmoothL1Loss(beta=0.1)": _case(nn.SmoothL1Loss, beta=0.1),
    "SmoothL1Loss(beta=0)": _case(nn.SmoothL1Loss, beta=0.0),
    "PoissonNLLLoss": _case(nn.PoissonNLLLoss),
    "PoissonNLLLoss(log_input=False)": _case(nn.PoissonNLLLoss, log_input=False, rtol=1e-6),
    "GaussianNLLLoss": _case(nn.GaussianNLLLoss, _columns),
    "GaussianNLLLoss(full=True)": _case(nn.GaussianNLLLoss, _columns, full=True),
    "BCEWithLogitsLoss": _case(nn.BCEWithLogitsLoss, rtol=1e-9),
    "BCELoss": _case(nn.BCELoss),
    "SoftMarginLoss": _case(nn.SoftMarginLoss, _signed),
    "MultiLabelSoftMarginLoss": _case(nn.MultiLabelSoftMarginLoss, _table, ("mean",), 1e-9),
    "CrossEntropyLoss": _case(nn.CrossEntropyLoss),
    "CrossEntropyLoss(ignore_index=2)": _case(nn.CrossEntropyLoss, ignore_index=2),
    "CrossEntropyLoss(label_smoothing=.1)": _case(nn.CrossEntropyLoss, label_smoothing=0.1),
    "CrossEntropyLoss(weight)": _case(nn.CrossEntropyLoss, weight=W),
    "CrossEntropyLoss(weight, label_smoothing=.3)": _case(
        nn.CrossEntropyLoss, reductions=NO_MEAN, weight=W, label_smoothing=0.3
    ),
    "MultiMarginLoss": _case(nn.MultiMarginLoss),
    "MultiMarginLoss(p=2, weight)": _case(nn.MultiMarginLoss, p=2, margin=0.3, weight=W),
    "KLDivLoss": (lambda r: nn.KLDivLoss(reduction=BATCH[r]), _plain, ("mean", "sum"), 1e-12),
    "KLDivLoss(log_target)": (
        lambda r: nn.KLDivLoss(reduction=BATCH[r], log_target=True), _logs, ("mean", "sum"), 1e-12
    ),
    "TripletMarginLoss": _case(nn.TripletMarginLoss, _three, rtol=2e-5),
    "TripletMarginLoss(margin=.3)": _case(nn.TripletMarginLoss, _three, rtol=2e-5, margin=0.3),
    "CTCLoss": _case(nn.CTCLoss, _frames, NO_MEAN, 1e-9),
    "CTCLoss(blank=2)": _case(nn.CTCLoss, _frames, NO_MEAN, 1e-9, blank=2),
    "CTCLoss(zero_infinity)": _case(nn.CTCLoss, _frames, NO_MEAN, 1e-9, zero_infinity=True),
    "mse_loss": _case(lambda **given: functools.partial(fn.mse_loss, **given)),
    "smooth_l1_loss": _case(lambda **given: functools.partial(fn.smooth_l1_loss, beta=0.5, **given)),
    "huber_loss": _case(lambda **given: functools.partial(fn.huber_loss, delta=0.5, **given)),
    "cross_entropy": _case(lambda **given: functools.partial(fn.cross_entropy, weight=W, **given)),
    "kl_div": (
        lambda r: functools.partial(fn.kl_div, reduction=BATCH[r]), _plain, ("mean", "sum"), 1e-12
    ),
    "binary_cross_entropy": _case(lambda **given: functools.partial(fn.binary_cross_entropy, **given)),
    "poisson_nll_loss": _case(lambda **given: functools.partial(fn.poisson_nll_loss, **given)),
    "multi_margin_loss": _case(lambda **given: functools.partial(fn.multi_margin_loss, margin=0.5, **given)),
    "soft_margin_loss": _case(lambda **given: functools.partial(fn.soft_margin_loss, **given), _signed),
    "gaussian_nll_loss": _case(lambda **given: functools.partial(fn.gaussian_nll_loss, **given), _columns),
    "triplet_margin_loss": _case(lambda **given: functools.partial(fn.triplet_margin_loss, **given), _three, rtol=2e-5),
}  # fmt: skip


def gradient(value: Any, f: Any) -> Any:
    """Gradient of values by the predictions, kinks left out."""
    weights = torch.tensor(smooth(value))[: len(value)] if value.ndim else torch.tensor(1.0, dtype=value.dtype)
    return torch.autograd.grad((weights * value).sum(), f)[0].numpy()


def same(ours: Any, call: Any, theirs: Any, reduction: str, rtol: float) -> None:
    """Demand equal values and gradients of our loss and of torch's."""
    y, f = sample(ours)
    for part in (slice(None), slice(len(KINKS), None)) if f.ndim == 1 else (slice(None),):
        target, mine, other = torch.tensor(y[part]), torch.tensor(f[part]), torch.tensor(f[part])
        mine.requires_grad_(), other.requires_grad_()
        given = mine.detach() if reduction == "none" and isinstance(ours, lm.Triplet) else mine
        got, want = ours(target, given, reduction=reduction), call(theirs, target, other)
        np.testing.assert_allclose(
            got.detach(), want.detach(), rtol=rtol, atol=max(1e-13, 1e-4 * rtol) if rtol < 1e-6 else rtol
        )
        if reduction == "none" and isinstance(ours, lm.Triplet):
            continue  # values share embeddings, so there is no gradient of each
        if reduction == "none" or f.ndim > 1 or part.start:
            np.testing.assert_allclose(gradient(got, mine), gradient(want, other), rtol=rtol, atol=rtol)


@pytest.mark.filterwarnings("ignore:.*reduction.*:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_torchs(name: str) -> None:
    make, call, reductions, rtol = CASES[name]
    for reduction in reductions:
        theirs = make(reduction)
        same(lm.from_torch(theirs), call, theirs, reduction, rtol)


def test_a_wrong_factor_is_noticed() -> None:
    """Negative control: SmoothL1 without its factor 1 / beta, and Huber with another delta."""
    theirs = nn.SmoothL1Loss(beta=2.0)
    for wrong in (lm.Huber(delta=2.0), lm.Huber(delta=1.0), lm.WeightedSum(("huber",), (0.5,))):
        with pytest.raises(AssertionError):
            same(wrong, _plain, theirs, "mean", 1e-12)


def test_all_losses_of_torch_are_known() -> None:
    """Whatever torch calls a loss is translated or refused with a reason."""
    from lossmith.frameworks.translation.torch import LIBRARY

    names = list(torch.nn.modules.loss.__all__)
    names += [name for name in dir(fn) if name.endswith("_loss") or name in ("cross_entropy", "kl_div")]
    names += ["binary_cross_entropy", "binary_cross_entropy_with_logits", "linear_cross_entropy"]
    unknown = [name for name in names if not LIBRARY.knows(name) and not name.startswith("_")]
    assert unknown == []


def test_names_and_parameters_beside_them() -> None:
    assert lm.from_torch("nn.HuberLoss(delta=2)") == lm.Huber(delta=2.0)
    assert lm.from_torch(fn.huber_loss, delta=2.0) == lm.Huber(delta=2.0)
    assert lm.from_torch(functools.partial(fn.kl_div, reduction="sum")) == lm.KLDivergence("log_probabilities")
    assert lm.from_torch("F.cross_entropy", label_smoothing=0.1).label_smoothing == 0.1
    assert lm.from_torch("torch.nn.CrossEntropyLoss(torch.tensor([1., 2.]))").class_weights == (1.0, 2.0)


def test_torchvisions_focal_loss_by_its_text() -> None:
    """Its alpha is on by default, 0.25, and -1 turns it off."""
    assert lm.from_torch("torchvision.ops.sigmoid_focal_loss") == lm.BinaryFocal(alpha=0.25)
    assert lm.from_torch("torchvision.ops.sigmoid_focal_loss(alpha=-1)") == lm.BinaryFocal()
    assert round(float(lm.from_torch("sigmoid_focal_loss")([1.0], [0.3])), 7) == 0.0250983


@pytest.mark.parametrize("name", ["huber", "cce", "dice"])
def test_modules_of_to_torch_give_their_loss_back(name: str) -> None:
    assert lm.from_torch(lm.to_torch(name)) == lm.get(name)


class _Mine(nn.MSELoss):  # type: ignore[misc]
    def forward(self, input: Any, target: Any) -> Any:
        return 3 * super().forward(input, target)


@pytest.mark.parametrize(
    ("theirs", "given", "reason"),
    [
        (nn.CTCLoss(), {}, "divides each value by its target's length"),
        (nn.CrossEntropyLoss(weight=W, label_smoothing=0.1), {}, "smoothed targets"),
        (nn.KLDivLoss(), {}, "reduction='batchmean'"),
        (fn.kl_div, {}, "reduction='batchmean'"),
        (nn.KLDivLoss(reduction="none"), {}, "terms of the classes apart"),
        (nn.PoissonNLLLoss(full=True), {}, "Stirling"),
        (nn.PoissonNLLLoss(log_input=False, eps=0.1), {}, "guard"),
        (nn.GaussianNLLLoss(eps=0.1), {}, "guard"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), {}, "sample_weight"),
        (nn.BCELoss(weight=torch.tensor([2.0])), {}, "sample_weight"),
        (nn.TripletMarginLoss(swap=True), {}, "swap=True"),
        (nn.TripletMarginLoss(p=1), {}, "Euclidean"),
        (nn.MultiLabelSoftMarginLoss(reduction="sum"), {}, "means over the classes"),
        (nn.NLLLoss(), {}, "log-probabilities"),
        (nn.CosineEmbeddingLoss(), {}, "cosine"),
        (nn.HingeEmbeddingLoss(), {}, "distance"),
        (nn.MarginRankingLoss(), {}, "two scores"),
        (nn.MultiLabelMarginLoss(), {}, "label sets"),
        (nn.TripletMarginWithDistanceLoss(), {}, "distance is a function"),
        (fn.huber_loss, {"delta": -1.0}, "delta=-1.0"),
        (fn.huber_loss, {"gamma": 1.0}, "no parameter 'gamma'"),
        (fn.huber_loss, {"reduction": "median"}, "'median'"),
        (nn.HuberLoss(), {"delta": 2.0}, "holds its parameters itself"),
        (functools.partial(fn.huber_loss, torch.zeros(1)), {}, "by their names"),
        (_Mine(), {}, "a subclass or function of your own"),
        (np.mean, {}, "no loss of torch"),
        ("torch.nn.HubertLoss()", {}, "did you mean HuberLoss"),
    ],
)  # fmt: skip
def test_what_has_no_equal_is_refused_in_one_line(theirs: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        lm.from_torch(theirs, **given)
    assert reason in str(caught.value), caught.value
