"""optax's losses: functions of (predictions, targets) that return per-sample values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.divergence import KLDivergence
from ...losses.embedding import NTXent, Triplet
from ...losses.imbalance import BinaryFocal
from ...losses.margin import Hinge
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.robust import Huber, LogCosh
from ...losses.segmentation import Dice
from ...losses.sequence import CTC
from ...losses.squared import MeanSquaredError
from . import objects
from .tables import Entry, Library, Link, Meaning, Variant

_AXIS = "rows lie along the last axis"
_WHERE = "give a mask as sample_weight, 0 for what is left out"
_ROWS = {"axis": _AXIS, "where": _WHERE}


def _entry(
    *names: str, variants: tuple[Variant, ...], fixed: Mapping[str, str] | None = None, call: str = "", **params: Any
) -> Entry:
    return Entry(names, params, variants, "", fixed or {}, call=call)


_SAME = (
    _entry("losses.squared_error", "squared_error", variants=(Variant(MeanSquaredError),)),
    _entry("losses.l2_loss", "l2_loss", variants=(Variant(MeanSquaredError, factor=lambda given: 0.5),)),
    _entry("losses.huber_loss", "huber_loss", variants=(Variant(Huber, links={"delta": Link("delta")}),), delta=1.0),
    _entry("losses.log_cosh", "log_cosh", variants=(Variant(LogCosh),)),
    _entry(
        "losses.sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy",
        variants=(Variant(BinaryCrossEntropy, fields={"inputs": "logits"}),),
    ),
    _entry(
        "losses.sigmoid_focal_loss",
        "sigmoid_focal_loss",
        variants=(
            Variant(BinaryFocal, fields={"inputs": "logits"}, links={"gamma": Link("gamma"), "alpha": Link("alpha")}),
        ),
        alpha=None,
        gamma=2.0,
    ),
    _entry("losses.hinge_loss", "hinge_loss", variants=(Variant(Hinge, notes=("labels are -1 and +1",)),)),
    _entry(
        "losses.softmax_cross_entropy_with_integer_labels",
        "softmax_cross_entropy_with_integer_labels",
        variants=(Variant(CategoricalCrossEntropy, notes=("optax takes labels 0 ... k-1",)),),
        fixed=_ROWS,
        axis=-1,
        where=None,
    ),
    _entry(
        "losses.softmax_cross_entropy",
        "softmax_cross_entropy",
        variants=(Variant(CategoricalCrossEntropy, notes=("optax takes one-hot or soft target rows",)),),
        fixed=_ROWS,
        axis=-1,
        where=None,
    ),
    _entry(
        "losses.safe_softmax_cross_entropy",
        "safe_softmax_cross_entropy",
        variants=(Variant(CategoricalCrossEntropy, notes=("optax takes one-hot or soft target rows",)),),
    ),
    _entry(
        "losses.kl_divergence",
        "kl_divergence",
        variants=(Variant(KLDivergence, fields={"inputs": "log_probabilities"}),),
        fixed=_ROWS,
        axis=-1,
        where=None,
    ),
    _entry(
        "losses.kl_divergence_with_log_targets",
        "kl_divergence_with_log_targets",
        variants=(
            Variant(
                KLDivergence,
                fields={"inputs": "log_probabilities"},
                notes=("optax takes the logarithms of the targets, here y_true holds the probabilities",),
            ),
        ),
        fixed=_ROWS,
        axis=-1,
        where=None,
    ),
    _entry(
        "losses.ctc_loss",
        "ctc_loss",
        call="loss(logits, logit_paddings, labels, label_paddings), one value for each sequence",
        variants=(
            Variant(
                CTC,
                links={"blank": Link("blank_id")},
                notes=(
                    "optax takes paddings (0 or 1) of frames and labels; lm.CTC.targets(labels, target_lengths, "
                    "input_lengths) makes y_true",
                    "an impossible target costs 1e5 in optax, infinity here",
                ),
            ),
        ),
        fixed={"log_epsilon": "probabilities of 0 stay 0"},
        blank_id=0,
        log_epsilon=-1e5,
    ),
    _entry(
        "losses.triplet_margin_loss",
        "triplet_margin_loss",
        call="loss(anchors, positives, negatives), one value for each triplet",
        variants=(
            Variant(
                Triplet,
                fields={"distance": "euclidean"},
                links={"margin": Link("margin")},
                notes=(
                    "optax takes three arrays; lm.Triplet.given(anchors, positives, negatives) makes (y_true, y_pred)",
                    "optax adds 1e-6 under the root: equal to about 1e-6",
                ),
            ),
        ),
        fixed={
            "axis": _AXIS,
            "norm_degree": "distances are Euclidean, norm_degree=2",
            "eps": "it moves the numbers; only the default guard against 0 is left out",
        },
        axis=-1,
        norm_degree=2,
        margin=1.0,
        eps=1e-6,
    ),
    _entry(
        "losses.ntxent",
        "ntxent",
        call="loss(embeddings, labels)",
        variants=(
            Variant(NTXent, links={"temperature": Link("temperature")}, notes=("optax returns the mean over pairs",)),
        ),
        temperature=0.07,
    ),
)

_TVERSKY = "false positives and false negatives count alike, 0.5 each"
# Theirs is (I + s) / ((P + T) / 2 + s), ours (2 I + s) / (P + T + s).
_SMOOTH = {"smooth": Link("smooth", ours=lambda s: 2.0 * s, theirs=lambda s: 0.5 * s)}
_MASKS = (
    _entry(
        "losses.dice_loss",
        "dice_loss",
        variants=(
            Variant(Dice, {"apply_softmax": True}, {"inputs": "logits", "class_axis": -1}, _SMOOTH),
            Variant(Dice, {"apply_softmax": False}, {"inputs": "probabilities", "class_axis": -1}, _SMOOTH),
        ),
        fixed={
            "alpha": _TVERSKY,
            "beta": _TVERSKY,
            "class_weights": "classes count alike",
            "reduction": "values are means over the classes",
            "ignore_background": "all classes count",
            "axis": "all axes between the first and the last are summed up",
        },
        class_weights=None,
        smooth=1.0,
        alpha=0.5,
        beta=0.5,
        apply_softmax=True,
        reduction="mean",
        ignore_background=False,
        axis=None,
    ),
    _entry(
        "losses.binary_dice_loss",
        "binary_dice_loss",
        variants=(Variant(Dice, fields={"inputs": "logits"}, links=_SMOOTH),),
        fixed={"apply_sigmoid": "optax itself refuses probabilities that do not sum to 1 over its one channel"},
        smooth=1.0,
        apply_sigmoid=True,
    ),
)

_TO_COME = "the catalogue has no such loss"
_NONE = (
    ("cosine_similarity", "it is larger for better predictions, and no loss"),
    ("cosine_distance", _TO_COME),
    ("perceptron_loss", _TO_COME),
    ("sparsemax_loss", _TO_COME),
    ("multiclass_sparsemax_loss", _TO_COME),
    ("multiclass_hinge_loss", "it is Crammer and Singer's; lm.MultiMargin is Weston and Watkins'"),
    ("multiclass_perceptron_loss", _TO_COME),
    ("poly_loss_cross_entropy", _TO_COME),
    ("convex_kl_divergence", "it adds the sums of predictions and targets, which matter where they are not 1"),
    ("generalized_kl_divergence", "it adds the sums of predictions and targets, which matter where they are not 1"),
    ("ctc_loss_with_forward_probs", "it returns more than a loss; take ctc_loss"),
    ("ranking_softmax_loss", _TO_COME),
    ("multiclass_generalized_dice_loss", "its class weights depend on the batch"),
    ("make_fenchel_young_loss", "it makes losses from functions"),
    ("smooth_labels", "it changes labels and is no loss; lm.CategoricalCrossEntropy(label_smoothing=...) has it in"),
)

LIBRARY = Library(
    "optax",
    (*_SAME, *_MASKS, *(Entry((f"losses.{name}", name), refused=why) for name, why in _NONE)),
    ("optax.",),
)


def from_optax(loss: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of a loss of optax.

    Parameters
    ----------
    loss : function or str
        A function of optax such as ``optax.losses.huber_loss``, a ``functools.partial`` of one, or their text.
    **parameters
        Of the function, such as ``delta=2.0``.

    Returns
    -------
    Loss
        With the same per-sample values (``reduction="none"``) and gradient; a constant factor becomes a
        :class:`lossmith.WeightedSum`. Called with (y_true, y_pred), where optax takes the predictions first.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_optax("optax.losses.huber_loss", delta=2.0)
    Huber(delta=2.0)
    >>> lm.from_optax("optax.l2_loss")([0.0], [3.0]).item()
    4.5
    """
    return meaning(loss, parameters).made


def meaning(loss: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what a loss of optax means in Lossmith's words."""
    return objects.read(LIBRARY, loss, parameters)
