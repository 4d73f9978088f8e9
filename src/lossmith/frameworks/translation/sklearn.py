"""scikit-learn's losses: metrics, scoring names, and what estimators minimise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import InputError
from ...core.loss import Loss
from ...losses.binary import BinaryCrossEntropy
from ...losses.counts import GammaNLL, PoissonNLL, Tweedie
from ...losses.margin import Hinge, SquaredHinge
from ...losses.multiclass import CategoricalCrossEntropy
from ...losses.quantile import Quantile
from ...losses.robust import Huber
from ...losses.squared import MeanAbsoluteError, MeanSquaredError
from . import objects
from .tables import Entry, Given, Library, Link, Meaning, Variant

_OUTPUTS = "outputs are averaged evenly"
_LOSSES = "the catalogue has no such loss"
_SIGNS = ("labels are -1 and +1",)
_HALF = "scikit-learn halves the square"


def _half(given: Given) -> float:
    return 0.5


def _metric(*names: str, variants: tuple[Variant, ...], fixed: Mapping[str, str] | None = None, **params: Any) -> Entry:
    return Entry(names, params, variants, "", fixed or {})


def _estimator(
    *names: str, variants: tuple[Variant, ...], otherwise: str = _LOSSES, printed: bool = False, **params: Any
) -> Entry:
    return Entry(names, params, variants, otherwise=otherwise, lenient=True, printed=printed)


def _by_loss(**meanings: Variant) -> tuple[Variant, ...]:
    """Return variants that are told apart by the parameter ``loss``."""
    return tuple(
        Variant(one.loss, {**one.when, "loss": word}, one.fields, one.links, one.factor, notes=one.notes)
        for word, one in meanings.items()
    )


_AVERAGED = {"multioutput": _OUTPUTS}
_METRICS = (
    _metric(
        "mean_squared_error",
        "neg_mean_squared_error",
        variants=(Variant(MeanSquaredError),),
        fixed=_AVERAGED,
        multioutput="uniform_average",
    ),
    _metric(
        "mean_absolute_error",
        "neg_mean_absolute_error",
        variants=(Variant(MeanAbsoluteError),),
        fixed=_AVERAGED,
        multioutput="uniform_average",
    ),
    _metric(
        "mean_pinball_loss",
        variants=(Variant(Quantile, links={"q": Link("alpha")}),),
        fixed=_AVERAGED,
        alpha=0.5,
        multioutput="uniform_average",
    ),
    _metric(
        "log_loss",
        "neg_log_loss",
        variants=(
            Variant(
                CategoricalCrossEntropy,
                fields={"inputs": "probabilities"},
                notes=(
                    "rows of predict_proba; for the probability of class 1 alone take lm.BinaryCrossEntropy",
                    "scikit-learn clips probabilities to the dtype's resolution, here they count as they are",
                ),
            ),
        ),
        fixed={"normalize": "give reduction='sum' in the call", "labels": "labels are 0 ... k-1"},
        normalize=True,
        labels=None,
    ),
    _metric(
        "log_loss",
        variants=(
            Variant(
                BinaryCrossEntropy,
                fields={"inputs": "probabilities"},
                notes=("scikit-learn clips probabilities to the dtype's resolution, here they count as they are",),
            ),
        ),
    ),
    _metric(
        "brier_score_loss",
        "neg_brier_score",
        variants=(
            Variant(
                MeanSquaredError,
                notes=("of labels 0 and 1 and the probability of class 1; with more classes it differs",),
            ),
        ),
        fixed={"scale_by_half": "for two classes the default halves the sum over both", "pos_label": "labels are 0, 1"},
        scale_by_half="auto",
        pos_label=None,
    ),
    _metric(
        "hinge_loss",
        variants=(Variant(Hinge, notes=("for two classes; with more, scikit-learn takes Crammer and Singer's",)),),
        fixed={"labels": "labels are -1 and +1"},
        labels=None,
    ),
)

_WORDS = (
    _estimator(
        "squared_error", "HalfSquaredError", variants=(Variant(MeanSquaredError, factor=_half, notes=(_HALF,)),)
    ),
    _estimator("absolute_error", "AbsoluteError", variants=(Variant(MeanAbsoluteError),)),
    _estimator("quantile", "PinballLoss", variants=(Variant(Quantile, links={"q": Link("quantile")}),), quantile=0.5),
    _estimator("HuberLoss", variants=(Variant(Huber, links={"delta": Link("delta")}),), delta=0.5),
    _estimator("poisson", "HalfPoissonLoss", variants=(Variant(PoissonNLL, fields={"inputs": "log_rate"}),)),
    _estimator("gamma", "HalfGammaLoss", variants=(Variant(GammaNLL),)),
    _estimator("HalfTweedieLoss", variants=(Variant(Tweedie, links={"power": Link("power")}),), power=1.5),
    _estimator("HalfBinomialLoss", variants=(Variant(BinaryCrossEntropy, fields={"inputs": "logits"}),)),
    _estimator("HalfMultinomialLoss", variants=(Variant(CategoricalCrossEntropy, fields={"inputs": "logits"}),)),
    _estimator("hinge", variants=(Variant(Hinge, notes=_SIGNS),)),
    _estimator("squared_hinge", variants=(Variant(SquaredHinge, notes=_SIGNS),)),
)

_SQUARE = Variant(MeanSquaredError, factor=_half, notes=(_HALF,))
_ABSOLUTE, _POISSON = Variant(MeanAbsoluteError), Variant(PoissonNLL, fields={"inputs": "log_rate"})
_TWO = (
    Variant(CategoricalCrossEntropy, {"classes": "many"}, {"inputs": "logits"}),
    Variant(
        BinaryCrossEntropy,
        fields={"inputs": "logits"},
        notes=("for two classes; lm.CategoricalCrossEntropy() for more",),
    ),
)
_TUBE = "there is no loss with an insensitive tube in the catalogue"
_SGD = {
    "squared_error": _SQUARE,
    "huber": Variant(Huber, links={"delta": Link("epsilon")}),
    "epsilon_insensitive": Variant(MeanAbsoluteError, when={"epsilon": 0}),
    "squared_epsilon_insensitive": Variant(MeanSquaredError, when={"epsilon": 0}),
}
_ESTIMATORS = (
    _estimator("LinearRegression", "Ridge", "RidgeCV", variants=(Variant(MeanSquaredError),)),
    _estimator("Lasso", "ElasticNet", "LassoCV", "ElasticNetCV", variants=(_SQUARE,)),
    _estimator("SGDRegressor", variants=_by_loss(**_SGD), otherwise=_TUBE, loss="squared_error", epsilon=0.1),
    _estimator(
        "SGDClassifier",
        variants=_by_loss(
            hinge=Variant(Hinge, notes=_SIGNS),
            squared_hinge=Variant(SquaredHinge, notes=_SIGNS),
            log_loss=Variant(BinaryCrossEntropy, fields={"inputs": "logits"}),
            **_SGD,
        ),
        loss="hinge",
        epsilon=0.1,
    ),
    _estimator("QuantileRegressor", variants=(Variant(Quantile, links={"q": Link("quantile")}),), quantile=0.5),
    _estimator("PoissonRegressor", variants=(_POISSON,)),
    _estimator("GammaRegressor", variants=(Variant(GammaNLL),)),
    _estimator(
        "TweedieRegressor",
        variants=(
            Variant(MeanSquaredError, {"power": 0, "link": "auto"}, factor=_half),
            Variant(PoissonNLL, {"power": 1, "link": "auto"}, {"inputs": "log_rate"}),
            Variant(GammaNLL, {"power": 2, "link": "auto"}),
            Variant(Tweedie, {"link": "auto"}, links={"power": Link("power")}),
        ),
        otherwise="losses of the Tweedie family take the logarithm of the mean",
        power=0.0,
        link="auto",
    ),
    _estimator("LogisticRegression", "LogisticRegressionCV", variants=_TWO, classes="two"),
    _estimator(
        "HistGradientBoostingRegressor",
        variants=_by_loss(
            squared_error=_SQUARE,
            absolute_error=_ABSOLUTE,
            poisson=_POISSON,
            gamma=Variant(GammaNLL),
            quantile=Variant(Quantile, links={"q": Link("quantile")}),
        ),
        loss="squared_error",
        quantile=None,
    ),
    _estimator(
        "GradientBoostingRegressor",
        variants=_by_loss(
            squared_error=_SQUARE,
            absolute_error=_ABSOLUTE,
            quantile=Variant(Quantile, links={"q": Link("alpha")}),
        ),
        otherwise="its delta is a quantile of the residuals, another one in each iteration; take lm.Huber(delta)",
        loss="squared_error",
        alpha=0.9,
    ),
    _estimator(
        "HistGradientBoostingClassifier",
        "GradientBoostingClassifier",
        variants=tuple(
            Variant(one.loss, {**one.when, "loss": "log_loss"}, one.fields, notes=one.notes) for one in _TWO
        ),
        loss="log_loss",
        classes="two",
    ),
    _estimator(
        "LinearSVC",
        variants=_by_loss(squared_hinge=Variant(SquaredHinge, notes=_SIGNS), hinge=Variant(Hinge, notes=_SIGNS)),
        loss="squared_hinge",
    ),
    _estimator("SVC", variants=(Variant(Hinge, notes=_SIGNS),)),
    _estimator(
        "LinearSVR",
        variants=_by_loss(
            epsilon_insensitive=Variant(MeanAbsoluteError, when={"epsilon": 0}),
            squared_epsilon_insensitive=Variant(MeanSquaredError, when={"epsilon": 0}),
        ),
        otherwise=_TUBE,
        loss="epsilon_insensitive",
        epsilon=0.0,
    ),
    _estimator("SVR", variants=(Variant(MeanAbsoluteError, when={"epsilon": 0}),), otherwise=_TUBE, epsilon=0.1),
)

_SCORES = (
    "accuracy", "adjusted_mutual_info_score", "adjusted_rand_score", "average_precision", "balanced_accuracy",
    "completeness_score", "coverage_error", "d2_absolute_error_score", "d2_brier_score", "d2_log_loss_score",
    "explained_variance", "f1", "f1_macro", "f1_micro", "f1_samples", "f1_weighted", "fowlkes_mallows_score",
    "hamming_loss", "homogeneity_score", "jaccard", "jaccard_macro", "jaccard_micro", "jaccard_samples",
    "jaccard_weighted", "label_ranking_loss", "matthews_corrcoef", "mutual_info_score", "neg_max_error",
    "max_error", "neg_median_absolute_error", "median_absolute_error", "neg_negative_likelihood_ratio",
    "neg_root_mean_squared_error", "root_mean_squared_error", "neg_root_mean_squared_log_error",
    "root_mean_squared_log_error", "normalized_mutual_info_score", "positive_likelihood_ratio", "precision",
    "precision_macro", "precision_micro", "precision_samples", "precision_weighted", "r2", "rand_score",
    "recall", "recall_macro", "recall_micro", "recall_samples", "recall_weighted", "roc_auc", "roc_auc_ovo",
    "roc_auc_ovo_weighted", "roc_auc_ovr", "roc_auc_ovr_weighted", "top_k_accuracy", "v_measure_score",
    "zero_one_loss", "r2_score",
)  # fmt: skip
_DEVIANCE = "it is twice lm.PoissonNLL(inputs='rate') less a term of the targets alone"
_NONE = (
    (_SCORES, "it is a score of the whole sample and no mean of losses that have a gradient"),
    (("mean_absolute_percentage_error", "neg_mean_absolute_percentage_error"), _LOSSES),
    (("mean_squared_log_error", "neg_mean_squared_log_error"), _LOSSES),
    (("mean_poisson_deviance", "neg_mean_poisson_deviance"), _DEVIANCE),
    (
        ("mean_gamma_deviance", "neg_mean_gamma_deviance", "mean_tweedie_deviance"),
        "it is twice lm.GammaNLL() or lm.Tweedie(), at the logarithm of the mean, less a term of the targets alone",
    ),
    (("ExponentialLoss", "exponential", "modified_huber", "perceptron", "Perceptron"), _LOSSES),
    (("epsilon_insensitive", "squared_epsilon_insensitive"), _TUBE),
    (
        ("huber",),
        "its delta depends on the estimator; write SGDRegressor(loss='huber', epsilon=0.1) or lm.Huber(delta)",
    ),
    (
        ("HuberRegressor",),
        "it estimates the scale of the residuals along with the coefficients; give the fitted estimator",
    ),
)

LIBRARY = Library(
    "sklearn",
    (*_METRICS, *_WORDS, *_ESTIMATORS, *(Entry(names, refused=why) for names, why in _NONE)),
    (
        "sklearn.metrics.",
        "sklearn.linear_model.",
        "sklearn.ensemble.",
        "sklearn.svm.",
        "sklearn._loss.loss.",
        "sklearn._loss.",
        "sklearn.",
        "metrics.",
    ),
)


def from_sklearn(loss: Any, **parameters: Any) -> Loss:
    """Return the Lossmith loss with the numbers of a metric, a scorer or an estimator of scikit-learn.

    Parameters
    ----------
    loss : function, scorer, estimator or str
        A function of ``sklearn.metrics``, what ``make_scorer`` returned, an estimator (the loss that it minimises, for
        one sample, without penalties), a name that ``scoring=`` or ``loss=`` takes, or the text of one of these.
    **parameters
        Of a function or a name.

    Returns
    -------
    Loss
        With the same values and gradient; a constant factor becomes a :class:`lossmith.WeightedSum`. A score such as
        "neg_mean_squared_error" is minus the loss.

    Raises
    ------
    ValueError
        When no loss has the same numbers; the message says why.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.from_sklearn("neg_mean_squared_error")
    MeanSquaredError()
    >>> lm.from_sklearn("SGDRegressor(loss='huber')")
    Huber(delta=0.1)
    >>> lm.from_sklearn("squared_error")([0.0], [3.0]).item()
    4.5
    """
    return meaning(loss, parameters).made


def meaning(loss: Any, parameters: Mapping[str, Any]) -> Meaning:
    """Return what a loss of scikit-learn means in Lossmith's words."""
    home = type(loss).__module__
    if home == "sklearn.metrics._scorer":
        return meaning(loss._score_func, {**loss._kwargs, **parameters})
    if home == "sklearn.linear_model._huber":
        return _huber(loss)
    return objects.read(LIBRARY, loss, parameters, _state)


def _state(estimator: Any, entry: Entry) -> dict[str, Any]:
    """Return an estimator's parameters, or those of a loss of the private module."""
    private = type(estimator).__module__.startswith("sklearn._loss")
    own = {name: getattr(estimator.closs, name) for name in entry.parameters} if private else vars(estimator)
    found = {name: own[name] for name in entry.parameters if name in own}
    if "classes_" in own:
        found["classes"] = "many" if len(own["classes_"]) > 2 else "two"
    return found


def _huber(estimator: Any) -> Meaning:
    """Return what a fitted HuberRegressor minimises, at the scale it has found."""
    if "scale_" not in vars(estimator):
        raise InputError(f"HuberRegressor has no equal in Lossmith: {_NONE[-1][1]}")
    scale = float(estimator.scale_)
    return Meaning(Huber(delta=float(estimator.epsilon) * scale), 2.0 / scale)
