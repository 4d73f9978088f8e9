"""PyTorch's losses: torch.nn, torch.nn.functional, and torchvision's focal loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import PoissonNLL
from ...losses.divergence import KLDivergence
from ...losses.embedding import Triplet
from ...losses.imbalance import BinaryFocal
from ...losses.likelihood import GaussianNLL
from ...losses.margin import MultiMargin
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.robust import Huber
from ...losses.sequence import CTC
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import objects
from .tables import Entry, Library, Link, Meaning, Variant

_WORDS = {"mean": "mean", "sum": "sum", "none": "none"}
_WEIGHTED = "weights are an argument of the call here (sample_weight), and the mean divides by their sum"
_GUARD = "it moves the numbers; only the default guard against 0 is left out"


def _entry(
    names: tuple[str, ...],
    *variants: Variant,
    fixed: Mapping[str, str] | None = None,
    reductions: Mapping[str, str] = _WORDS,
    reduction: str = "mean",
    order: tuple[str, ...] = (),
    printed: bool = True,
    call: str = "",
    **parameters: Any,
) -> Entry:
    full = {**parameters, "reduction": reduction}
    return Entry(names, full, variants, "", fixed or {}, reductions, order, printed=printed, call=call)


def _no_label(ignored: int | None) -> int:
    return -100 if ignored is None else ignored


_REGRESSION = (
    _entry(("MSELoss", "mse_loss"), Variant(MeanSquaredError), weight=None, fixed={"weight": _WEIGHTED}),
    _entry(("L1Loss", "l1_loss"), Variant(MeanAbsoluteError), weight=None, fixed={"weight": _WEIGHTED}),
    _entry(
        ("HuberLoss", "huber_loss"),
        Variant(Huber, links={"delta": Link("delta")}),
        order=("reduction", "delta"),
        fixed={"weight": _WEIGHTED},
        delta=1.0,
        weight=None,
    ),
    _entry(
        ("SmoothL1Loss", "smooth_l1_loss"),
        Variant(MeanAbsoluteError, when={"beta": 0}),
        Variant(Huber, links={"delta": Link("beta")}, factor=lambda given: 1.0 / given["beta"]),
        beta=1.0,
    ),
    _entry(
        ("PoissonNLLLoss", "poisson_nll_loss"),
        Variant(PoissonNLL, when={"log_input": True}, fields={"inputs": "log_rate"}),
        Variant(
            PoissonNLL,
            when={"log_input": False},
            fields={"inputs": "rate"},
            notes=("torch adds 1e-8 to the rate before the logarithm: equal to 1e-8 / rate",),
        ),
        order=("log_input", "full"),
        fixed={"full": "its constant of the target is Stirling's approximation of log(y!)", "eps": _GUARD},
        log_input=True,
        full=False,
        eps=1e-8,
    ),
    _entry(
        ("GaussianNLLLoss", "gaussian_nll_loss"),
        Variant(
            GaussianNLL,
            fields={"inputs": "variance"},
            links={"full": Link("full")},
            notes=(
                "torch takes mean and variance apart, here they are the columns of y_pred (n, 2)",
                "torch raises variances below 1e-6 to it",
            ),
        ),
        fixed={"eps": _GUARD},
        call="loss(mean, target, variance)",
        full=False,
        eps=1e-6,
    ),
)

_BINARY = (
    _entry(
        ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits"),
        Variant(BinaryCrossEntropy, fields={"inputs": "logits"}),
        fixed={"weight": _WEIGHTED, "pos_weight": "give such weights as sample_weight in the call"},
        weight=None,
        pos_weight=None,
    ),
    _entry(
        ("BCELoss", "binary_cross_entropy"),
        Variant(
            BinaryCrossEntropy,
            fields={"inputs": "probabilities"},
            notes=("torch's logarithms stop at -100; here none is clipped",),
        ),
        fixed={"weight": _WEIGHTED},
        weight=None,
    ),
    _entry(
        ("SoftMarginLoss", "soft_margin_loss"),
        Variant(
            BinaryCrossEntropy,
            fields={"inputs": "logits"},
            notes=("labels are -1 and +1 in torch, 0 and 1 here: (y + 1) / 2",),
        ),
    ),
    _entry(
        ("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss"),
        Variant(BinaryCrossEntropy, fields={"inputs": "logits"}),
        fixed={"weight": _WEIGHTED},
        reductions={"mean": "mean", "sum": "its values are means over the classes; give reduction='mean'"},
        weight=None,
    ),
    _entry(
        ("ops.sigmoid_focal_loss", "sigmoid_focal_loss"),
        Variant(BinaryFocal, when={"alpha": -1}, fields={"alpha": None}, links={"gamma": Link("gamma")}),
        Variant(BinaryFocal, links={"gamma": Link("gamma"), "alpha": Link("alpha")}),
        reduction="none",
        printed=False,
        alpha=0.25,
        gamma=2.0,
    ),
)

_LABELS = {
    "ignore_index": Link("ignore_index", theirs=_no_label),
    "label_smoothing": Link("label_smoothing"),
}
_IGNORED = ("ignore_index", "torch leaves out samples labelled -100, this does not")
_CLASSES = (
    _entry(
        ("CrossEntropyLoss", "cross_entropy"),
        Variant(CategoricalCrossEntropy, {"weight": None}, {"inputs": "logits"}, _LABELS, unasked=_IGNORED),
        Variant(
            CategoricalCrossEntropy,
            {"label_smoothing": 0.0},
            {"inputs": "logits"},
            {"class_weights": Link("weight"), **_LABELS},
            notes=("with target rows instead of labels, torch's mean divides by n, not by the class weights' sum",),
            unasked=_IGNORED,
        ),
        Variant(
            CategoricalCrossEntropy,
            fields={"inputs": "logits"},
            links={"class_weights": Link("weight"), **_LABELS},
            no_mean="with label smoothing torch divides by the labels' weights, here by those of the smoothed targets; "
            "reduction='sum' and 'none' are the same",
            unasked=_IGNORED,
        ),
        order=("weight",),
        weight=None,
        ignore_index=-100,
        label_smoothing=0.0,
    ),
    _entry(
        ("MultiMarginLoss", "multi_margin_loss"),
        Variant(MultiMargin, links={"p": Link("p"), "margin": Link("margin"), "class_weights": Link("weight")}),
        order=("p", "margin", "weight"),
        p=1,
        margin=1.0,
        weight=None,
    ),
    _entry(
        ("KLDivLoss", "kl_div"),
        Variant(KLDivergence, {"log_target": False}, {"inputs": "log_probabilities"}),
        Variant(
            KLDivergence,
            fields={"inputs": "log_probabilities"},
            notes=("torch takes the logarithms of the targets, here y_true holds the probabilities",),
        ),
        reductions={
            "batchmean": "mean",
            "sum": "sum",
            "mean": "it also divides by the number of classes; reduction='batchmean' is the mean over rows",
            "none": "it keeps the terms of the classes apart; give reduction='batchmean' or 'sum'",
        },
        log_target=False,
    ),
)

_STRUCTURED = (
    _entry(
        ("TripletMarginLoss", "triplet_margin_loss"),
        Variant(
            Triplet,
            fields={"distance": "euclidean"},
            links={"margin": Link("margin")},
            notes=(
                "torch takes three arrays; lm.Triplet.given(anchor, positive, negative) makes (y_true, y_pred) of them",
                "torch adds 1e-6 to each coordinate of a difference: equal to about 1e-6",
            ),
        ),
        fixed={
            "p": "distances are Euclidean, p=2",
            "swap": "the distance of positive and negative does not take part",
            "eps": _GUARD,
        },
        call="loss(anchor, positive, negative)",
        margin=1.0,
        p=2.0,
        eps=1e-6,
        swap=False,
    ),
    _entry(
        ("CTCLoss", "ctc_loss"),
        Variant(
            CTC,
            when={"zero_infinity": False},
            links={"blank": Link("blank")},
            notes=(
                "torch takes log-probabilities (T, N, C), here logits (N, T, C); "
                "lm.CTC.targets(labels, target_lengths, input_lengths) makes y_true",
            ),
        ),
        Variant(
            CTC,
            when={"zero_infinity": True},
            fields={"infeasible": "exclude"},
            links={"blank": Link("blank")},
            notes=("torch takes log-probabilities (T, N, C), here logits (N, T, C)",),
        ),
        reductions={
            "none": "none",
            "sum": "sum",
            "mean": "it divides each value by its target's length first; reduction='none' or 'sum' is the same here",
        },
        order=("blank", "reduction", "zero_infinity"),
        call="loss(log_probs, targets, input_lengths, target_lengths)",
        blank=0,
        zero_infinity=False,
    ),
)

_NONE = (
    (("NLLLoss", "nll_loss", "NLLLoss2d"), "it takes log-probabilities; give logits to CrossEntropyLoss instead"),
    (("HingeEmbeddingLoss", "hinge_embedding_loss"), "it prices a distance, which is no prediction"),
    (("MarginRankingLoss", "margin_ranking_loss"), "there is no loss of two scores in the catalogue"),
    (("CosineEmbeddingLoss", "cosine_embedding_loss"), "no loss of the catalogue prices the cosine of a given pair so"),
    (("MultiLabelMarginLoss", "multilabel_margin_loss"), "there is no margin loss of label sets in the catalogue"),
    (
        ("TripletMarginWithDistanceLoss", "triplet_margin_with_distance_loss"),
        "its distance is a function; lm.Triplet has the distances euclidean, squared_euclidean and cosine",
    ),
    (
        ("LinearCrossEntropyLoss", "linear_cross_entropy"),
        "it owns the weights of a layer; lm.LinearCrossEntropy does the same job",
    ),
    (("AdaptiveLogSoftmaxWithLoss",), "it owns the weights of a layer"),
)

LIBRARY = Library(
    "torch",
    (*_REGRESSION, *_BINARY, *_CLASSES, *_STRUCTURED, *(Entry(names, refused=why) for names, why in _NONE)),
    (
        "torch.nn.functional.",
        "torch.nn.modules.loss.",
        "nn.functional.",
        "torch.nn.",
        "torchvision.",
        "torch.",
        "nn.",
        "F.",
    ),
)


def from_torch(loss: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of a loss of PyTorch.

    Parameters
    ----------
    loss : torch.nn.Module, function or str
        A module of torch.nn such as ``torch.nn.SmoothL1Loss(beta=2.0)``, a function of torch.nn.functional, a
        ``functools.partial`` of one, or their text.
    **parameters
        Of a function.

    Returns
    -------
    Loss
        With the same values and gradient; a constant factor becomes a :class:`lossmith.WeightedSum`. Called with
        (y_true, y_pred), and with the module's own ``reduction``, which is an argument of the call here: "mean" is
        this library's default too. A guard against 0 of 1e-6 or less (``eps``) is left out.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> import torch
    >>> loss = lm.from_torch(torch.nn.SmoothL1Loss(beta=2.0))
    >>> loss
    WeightedSum(losses=(Huber(delta=2.0),), weights=(0.5,))
    >>> float(loss([0.0, 0.0], [0.5, 3.0]))
    1.03125
    >>> lm.from_torch(torch.nn.functional.kl_div, reduction="batchmean")
    KLDivergence(inputs='log_probabilities')
    """
    return meaning(loss, parameters).made


def meaning(loss: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what a loss of PyTorch means in Lossmith's words."""
    return objects.read(LIBRARY, loss, parameters, _state)


def _state(module: Any, entry: Entry) -> dict[str, Any]:
    """Return a module's parameters; weights are buffers."""
    own = {**vars(module), **vars(module)["_buffers"]}
    return {name: own[name] for name in entry.parameters if name in own}
