"""Keras' losses: classes, functions and names of keras.losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...core.rowwise import RowWiseLoss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import PoissonNLL
from ...losses.divergence import KLDivergence
from ...losses.imbalance import BinaryFocal
from ...losses.margin import Hinge, SquaredHinge
from ...losses.multiclass import CategoricalCrossEntropy, CategoricalFocal
from ...losses.robust import Huber, LogCosh
from ...losses.segmentation import Dice
from ...losses.sequence import CTC
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import objects
from .tables import Entry, Library, Link, Meaning, Variant

_WORDS = {
    "sum_over_batch_size": "mean",
    "mean_with_sample_weight": "mean",
    "mean": "mean",
    "sum": "sum",
    "none": "none",
    None: "none",
}
_CLIPPED = ("Keras clips probabilities to 1e-7 ... 1 - 1e-7; here they count as they are",)
_SMOOTHED = "its labels become y (1 - s) + s / 2; smooth them so, soft labels are accepted here"
_ROWS = ("Keras takes one-hot or soft target rows",)
_LABELS = ("Keras takes labels 0 ... k-1",)
_NORMALISED = (
    "Keras divides rows of probabilities by their sum: gradients by them differ by a constant in each row, which a "
    "softmax takes out",
)
_LAST = "classes lie along the last axis"
_SIGNS = ("Keras also takes labels 0 and 1; here they are -1 and +1",)


def _entry(
    names: tuple[str, ...],
    *variants: Variant,
    fixed: Mapping[str, str] | None = None,
    order: tuple[str, ...] = (),
    otherwise: str = "",
    **params: Any,
) -> Entry:
    full = {**params, "reduction": "sum_over_batch_size"}
    return Entry(names, full, variants, "", fixed or {}, _WORDS, order, otherwise)


def _on_both(
    loss: type[Loss],
    links: Mapping[str, Link],
    when: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    **fixed: Any,
) -> tuple[Variant, ...]:
    """Return the meanings on logits and on probabilities."""
    rows = _NORMALISED if issubclass(loss, RowWiseLoss) else ()
    also, clipped = when or {}, (*notes, *_CLIPPED, *rows)
    return (
        Variant(loss, {"from_logits": True, **also}, {"inputs": "logits", **fixed}, links, notes=notes),
        Variant(loss, {"from_logits": False, **also}, {"inputs": "probabilities", **fixed}, links, notes=clipped),
    )


def _scaled(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    return tuple(Variant(one.loss, one.when, one.fields, one.links, scale="alpha", notes=one.notes) for one in variants)


_NUMBERS = (
    _entry(("MeanSquaredError", "mean_squared_error", "mse", "MSE"), Variant(MeanSquaredError)),
    _entry(("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE"), Variant(MeanAbsoluteError)),
    _entry(("Huber", "huber"), Variant(Huber, links={"delta": Link("delta")}), order=("delta",), delta=1.0),
    _entry(("LogCosh", "log_cosh", "logcosh"), Variant(LogCosh)),
    _entry(
        ("Poisson", "poisson"),
        Variant(
            PoissonNLL,
            fields={"inputs": "rate"},
            notes=("Keras adds 1e-7 to the rate before the logarithm: equal to 1e-7 / rate",),
        ),
    ),
    _entry(("Hinge", "hinge"), Variant(Hinge, notes=_SIGNS)),
    _entry(("SquaredHinge", "squared_hinge"), Variant(SquaredHinge, notes=_SIGNS)),
)

_CLASSES = (
    _entry(
        ("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE"),
        *_on_both(BinaryCrossEntropy, {}),
        fixed={"label_smoothing": _SMOOTHED, "axis": _LAST},
        order=("from_logits", "label_smoothing", "axis"),
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
    ),
    _entry(
        ("BinaryFocalCrossentropy", "binary_focal_crossentropy"),
        *_on_both(BinaryFocal, {"gamma": Link("gamma")}, {"apply_class_balancing": False}, alpha=None),
        *_on_both(BinaryFocal, {"gamma": Link("gamma"), "alpha": Link("alpha")}, {"apply_class_balancing": True}),
        fixed={"label_smoothing": _SMOOTHED, "axis": _LAST},
        order=("apply_class_balancing", "alpha", "gamma", "from_logits"),
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
    ),
    _entry(
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
        *_on_both(CategoricalCrossEntropy, {"ignore_index": Link("ignore_class")}, notes=_LABELS),
        fixed={"axis": _LAST},
        order=("from_logits", "ignore_class"),
        from_logits=False,
        ignore_class=None,
        axis=-1,
    ),
    _entry(
        ("CategoricalCrossentropy", "categorical_crossentropy"),
        *_on_both(CategoricalCrossEntropy, {"label_smoothing": Link("label_smoothing")}, notes=_ROWS),
        fixed={"axis": _LAST},
        order=("from_logits", "label_smoothing", "axis"),
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
    ),
    _entry(
        ("CategoricalFocalCrossentropy", "categorical_focal_crossentropy"),
        *_scaled(_on_both(CategoricalFocal, {"gamma": Link("gamma")}, notes=_ROWS)),
        fixed={"label_smoothing": "focal losses take the labels as they are", "axis": _LAST},
        order=("alpha", "gamma", "from_logits"),
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
    ),
    _entry(
        ("KLDivergence", "kl_divergence", "kld", "KLD"),
        Variant(KLDivergence, fields={"inputs": "probabilities"}, notes=_CLIPPED),
    ),
)

_STRUCTURED = (
    _entry(
        ("CTC", "ctc"),
        Variant(
            CTC,
            notes=(
                "labels are padded with 0, the blank, in Keras and with -1 here",
                "an impossible target costs 707.7, 1e5 or infinity in Keras, by backend; infinity here",
            ),
        ),
    ),
    _entry(
        ("Dice", "dice"),
        *(
            Variant(
                Dice,
                when={"axis": axis},
                notes=(f"y_pred has {len(axis) + 1} axes; two empty masks cost 1 in Keras, 0 here",),
            )
            for axis in ((1, 2, 3), (1, 2), (1,))
        ),
        otherwise="it takes the whole batch for one mask, as lm.Dice() does for arrays reshaped to (1, -1); "
        "axis=(1, 2, 3) makes a value of each sample",
        axis=None,
    ),
)

_MISSING = "the catalogue has no such loss"
_NONE = (
    (("CosineSimilarity", "cosine_similarity"), _MISSING),
    (("MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE"), _MISSING),
    (("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE"), _MISSING),
    (
        ("CategoricalHinge", "categorical_hinge"),
        "it compares with the best other class alone; lm.MultiMargin sums over all of them",
    ),
    (("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"), _MISSING),
    (("Circle", "circle"), _MISSING),
    (("Tversky", "tversky"), "false positives and false negatives count alike in lm.Dice"),
)

LIBRARY = Library(
    "keras",
    (*_NUMBERS, *_CLASSES, *_STRUCTURED, *(Entry(names, refused=why) for names, why in _NONE)),
    ("keras.losses.", "tf.keras.losses.", "tensorflow.keras.losses.", "keras."),
)


def from_keras(loss: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of a loss of Keras.

    Parameters
    ----------
    loss : keras.losses.Loss, function or str
        An object such as ``keras.losses.Huber(delta=2.0)``, a function of ``keras.losses``, a name that
        ``model.compile`` takes, or the text of a call.
    **parameters
        Of a function or a name.

    Returns
    -------
    Loss
        With the same values and gradient; a constant factor becomes a :class:`lossmith.WeightedSum`. Keras first
        averages over the last axis, which changes no mean; its own mean divides by the number of samples even when
        they have weights, here (and with ``reduction="mean_with_sample_weight"``) it divides by the weights' sum.
        Probabilities and rates agree where Keras' clipping at 1e-7 does not act.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_keras("mse")
    MeanSquaredError()
    >>> lm.from_keras("BinaryFocalCrossentropy(from_logits=True)").alpha is None
    True
    """
    return meaning(loss, parameters).made


def meaning(loss: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what a loss of Keras means in Lossmith's words."""
    return objects.read(LIBRARY, loss, parameters, _state)


def _state(loss: Any, entry: Entry) -> dict[str, Any]:
    """Return an object's parameters, as it would save them."""
    # Some classes leave parameters out of their configuration, so those of their functions are read, too.
    config = {**loss.get_config(), **vars(loss).get("_fn_kwargs", {})}
    return {name: config[name] for name in entry.parameters if name in config}
