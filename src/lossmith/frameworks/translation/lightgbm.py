"""LightGBM's objectives, with their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import GammaNLL, PoissonNLL, Tweedie
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.quantile import Quantile
from ...losses.robust import Huber
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import boosters
from .boosters import entry, half, none
from .tables import Library, Link, Meaning, Variant

HALF = (
    "the objective's gradient and Hessian are half of this loss's; to_lightgbm hands over the same as the built-in",
)
_BALANCE = "give such weights as sample_weight"
_ROOT = {"reg_sqrt": "it fits the roots of the targets"}
_LOGITS = Variant(BinaryCrossEntropy, fields={"inputs": "logits"})

LIBRARY = Library(
    "lightgbm",
    (
        entry(
            "regression",
            "regression_l2",
            "l2",
            "mean_squared_error",
            "mse",
            "l2_root",
            "root_mean_squared_error",
            "rmse",
            variants=(Variant(MeanSquaredError, notes=HALF),),
            fixed=_ROOT,
            reg_sqrt=False,
        ),
        entry(
            "regression_l1",
            "l1",
            "mean_absolute_error",
            "mae",
            variants=(Variant(MeanAbsoluteError),),
            fixed=_ROOT,
            reg_sqrt=False,
        ),
        entry("regression", variants=(Variant(MeanSquaredError, factor=half),)),
        entry("huber", variants=(Variant(Huber, links={"delta": Link("alpha")}),), alpha=0.9),
        entry("quantile", variants=(Variant(Quantile, links={"q": Link("alpha")}),), alpha=0.9),
        entry("poisson", variants=(Variant(PoissonNLL, fields={"inputs": "log_rate"}),)),
        entry(
            "binary",
            variants=(_LOGITS,),
            fixed={
                "sigmoid": "the probability is 1 / (1 + exp(-score))",
                "is_unbalance": _BALANCE,
                "scale_pos_weight": _BALANCE,
            },
            sigmoid=1.0,
            is_unbalance=False,
            scale_pos_weight=1.0,
        ),
        entry("cross_entropy", "xentropy", variants=(_LOGITS,)),
        entry(
            "multiclass",
            "softmax",
            variants=(Variant(CategoricalCrossEntropy, fields={"inputs": "logits"}),),
        ),
        entry("gamma", variants=(Variant(GammaNLL),)),
        entry(
            "tweedie",
            variants=(Variant(Tweedie, links={"power": Link("tweedie_variance_power")}),),
            tweedie_variance_power=1.5,
        ),
        none("fair", "mape", "mean_absolute_percentage_error"),
        none("cross_entropy_lambda", "xentlambda"),
        none(
            "multiclassova",
            "multiclass_ova",
            "ova",
            "ovr",
            why="it trains a binary loss for each class; train lm.BinaryCrossEntropy() for each",
        ),
        none(
            "lambdarank",
            "rank_xendcg",
            "xendcg",
            "xe_ndcg",
            "xe_ndcg_mart",
            "xendcg_mart",
            why="there is no ranking loss in the catalogue",
        ),
    ),
    ("lightgbm.", "lgb."),
)


def from_lightgbm(objective: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of an objective of LightGBM.

    Parameters
    ----------
    objective : str, dict or estimator
        A name or alias such as "huber", the dictionary of training parameters that holds one, or an estimator.
    **parameters
        Beside a name, such as ``alpha=0.9``.

    Returns
    -------
    Loss
        On raw scores, with the values of the metric of that name and the objective's gradient; that of "regression"
        is half the square's, and :func:`lossmith.to_lightgbm` hands over the same.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_lightgbm("huber")
    Huber(delta=0.9)
    >>> lm.from_lightgbm({"objective": "quantile", "alpha": 0.1, "num_leaves": 15})
    Quantile(q=0.1)
    """
    return meaning(objective, parameters).made


def meaning(objective: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what an objective of LightGBM means in Lossmith's words."""
    return boosters.read(LIBRARY, "objective", objective, parameters)
