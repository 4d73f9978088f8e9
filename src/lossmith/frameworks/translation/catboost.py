"""CatBoost's loss functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import PoissonNLL, Tweedie
from ...losses.imbalance import BinaryFocal
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.quantile import Quantile
from ...losses.robust import Huber, LogCosh
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import boosters
from .boosters import entry, none
from .tables import Library, Link, Meaning, Variant

_LOGITS = Variant(BinaryCrossEntropy, fields={"inputs": "logits"})

LIBRARY = Library(
    "catboost",
    (
        entry(
            "RMSE",
            variants=(Variant(MeanSquaredError, notes=("CatBoost reports the root of its mean",)),),
        ),
        entry("MAE", variants=(Variant(MeanAbsoluteError),)),
        entry(
            "Quantile",
            variants=(
                Variant(
                    Quantile,
                    links={"q": Link("alpha")},
                    notes=("CatBoost moves the kink by delta=1e-6: equal to 1e-6",),
                ),
            ),
            fixed={"delta": "it moves the kink"},
            alpha=0.5,
            delta=1e-6,
        ),
        entry("Huber", variants=(Variant(Huber, links={"delta": Link("delta")}),), delta=None),
        entry("LogCosh", variants=(Variant(LogCosh),)),
        entry("Poisson", variants=(Variant(PoissonNLL, fields={"inputs": "log_rate"}),)),
        entry(
            "Tweedie",
            variants=(Variant(Tweedie, links={"power": Link("variance_power")}),),
            variance_power=None,
        ),
        entry("Logloss", "CrossEntropy", variants=(_LOGITS,)),
        entry(
            "Focal",
            variants=(
                Variant(
                    BinaryFocal,
                    fields={"inputs": "logits"},
                    links={"alpha": Link("focal_alpha"), "gamma": Link("focal_gamma")},
                ),
            ),
            focal_alpha=None,
            focal_gamma=None,
        ),
        entry("MultiClass", variants=(Variant(CategoricalCrossEntropy, fields={"inputs": "logits"}),)),
        none(
            "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy", why="it sums over binary losses of the classes"
        ),
        none("MAPE", "SMAPE", "Expectile", "Lq", "MSLE", "LogLinQuantile", "GroupQuantile", "MultiQuantile"),
        none("RMSEWithUncertainty", why="it scores mean and logarithm of the deviation; see lm.GaussianNLL()"),
        none("MultiRMSE", "MultiRMSEWithMissingValues", why="it sums over several outputs; see lm.MultiTask"),
        none("Cox", "SurvivalAft", why="there is no loss of survival times in the catalogue"),
        none(
            "YetiRank",
            "YetiRankPairwise",
            "StochasticRank",
            "PairLogit",
            "PairLogitPairwise",
            "QueryRMSE",
            "QuerySoftMax",
            "QueryCrossEntropy",
            "LambdaMart",
            "StochasticFilter",
            why="there is no ranking loss in the catalogue",
        ),
    ),
    ("catboost.",),
)


def from_catboost(loss_function: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of a loss function of CatBoost.

    Parameters
    ----------
    loss_function : str, dict or estimator
        A name such as "Huber:delta=2", the dictionary of training parameters that holds one, or an estimator.
    **parameters
        Beside a name, such as ``delta=2.0``.

    Returns
    -------
    Loss
        On raw scores.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_catboost("Huber:delta=2")
    Huber(delta=2.0)
    >>> lm.from_catboost({"loss_function": "Quantile:alpha=0.9", "depth": 4})
    Quantile(q=0.9)
    """
    return meaning(loss_function, parameters).made


def meaning(loss_function: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what an objective of CatBoost means in Lossmith's words."""
    return boosters.read(LIBRARY, "loss_function", loss_function, parameters)
