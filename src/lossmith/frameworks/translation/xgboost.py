"""XGBoost's objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import GammaNLL, PoissonNLL, Tweedie
from ...losses.margin import Hinge
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.quantile import Quantile
from ...losses.robust import PseudoHuber
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import boosters
from .boosters import entry, half, none
from .tables import Library, Link, Meaning, Variant

HALF = ("the objective's gradient and Hessian are half of this loss's; to_xgboost hands over the same as the built-in",)
_BALANCE = "give such weights as sample_weight"
_LOGITS = Variant(BinaryCrossEntropy, fields={"inputs": "logits"})


def _one(quantiles: Any) -> Any:
    if isinstance(quantiles, tuple | list):
        if len(quantiles) != 1:
            raise ValueError(f"{len(quantiles)} quantiles make as many losses; give one")
        return quantiles[0]
    return quantiles


LIBRARY = Library(
    "xgboost",
    (
        entry("reg:squarederror", "reg:linear", variants=(Variant(MeanSquaredError, notes=HALF),)),
        entry("reg:squarederror", variants=(Variant(MeanSquaredError, factor=half),)),
        entry("reg:absoluteerror", variants=(Variant(MeanAbsoluteError),)),
        entry(
            "reg:pseudohubererror",
            variants=(Variant(PseudoHuber, links={"delta": Link("huber_slope")}),),
            huber_slope=1.0,
        ),
        entry(
            "reg:quantileerror",
            variants=(Variant(Quantile, links={"q": Link("quantile_alpha", ours=_one)}),),
            quantile_alpha=None,
        ),
        entry(
            "binary:logistic",
            "binary:logitraw",
            "reg:logistic",
            variants=(_LOGITS,),
            fixed={"scale_pos_weight": _BALANCE},
            scale_pos_weight=1,
        ),
        entry(
            "binary:hinge",
            variants=(Variant(Hinge, notes=("labels are 0 and 1 in XGBoost, -1 and +1 here",)),),
            fixed={"scale_pos_weight": _BALANCE},
            scale_pos_weight=1,
        ),
        entry(
            "multi:softprob",
            "multi:softmax",
            variants=(Variant(CategoricalCrossEntropy, fields={"inputs": "logits"}),),
        ),
        entry("count:poisson", variants=(Variant(PoissonNLL, fields={"inputs": "log_rate"}),)),
        entry("reg:gamma", variants=(Variant(GammaNLL),)),
        entry(
            "reg:tweedie",
            variants=(Variant(Tweedie, links={"power": Link("tweedie_variance_power")}),),
            tweedie_variance_power=1.5,
        ),
        none("reg:squaredlogerror", "reg:expectileerror"),
        none("survival:cox", "survival:aft", why="there is no loss of survival times in the catalogue"),
        none("rank:ndcg", "rank:map", "rank:pairwise", why="there is no ranking loss in the catalogue"),
    ),
    ("xgboost.", "xgb."),
)


def from_xgboost(objective: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of an objective of XGBoost.

    Parameters
    ----------
    objective : str, dict or estimator
        A name such as "reg:quantileerror", the dictionary of training parameters that holds one, or an estimator.
    **parameters
        Beside a name, such as ``quantile_alpha=0.9``.

    Returns
    -------
    Loss
        On raw scores, with the objective's gradient; that of "reg:squarederror" is half the square's, and
        :func:`lossmith.to_xgboost` hands over the same.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_xgboost("reg:quantileerror", quantile_alpha=0.9)
    Quantile(q=0.9)
    >>> lm.from_xgboost({"objective": "reg:pseudohubererror", "huber_slope": 2.0, "max_depth": 4})
    PseudoHuber(delta=2.0)
    """
    return meaning(objective, parameters).made


def meaning(objective: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what an objective of XGBoost means in Lossmith's words."""
    return boosters.read(LIBRARY, "objective", objective, parameters)
