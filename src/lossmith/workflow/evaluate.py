"""Compare models on the metric: means, paired differences, honest ties, and the rule that chooses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmith.select.metrics import Metric
from lossmith.workflow.records import Evaluation, Score
from lossmith.workflow.scoring import error

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Entrant:
    """What one candidate with one learner scored on each fold, before it is compared.

    Attributes
    ----------
    label, config, learner, settings, reference, elicits
        As in :class:`~lossmith.workflow.records.Score`.
    rank : int
        Place in theory's order; lower is preferred among ties.
    folds, train : tuple of float
        The metric on held-out folds and on the rows trained on.
    bias : float or None
        mean(prediction) - mean(target) on held-out rows.
    """

    label: str
    config: dict[str, Any]
    learner: str
    settings: dict[str, Any]
    reference: bool
    elicits: str
    rank: int
    folds: tuple[float, ...]
    train: tuple[float, ...]
    bias: float | None


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of a mean, 0 for fewer than two values."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def paired(metric: Metric, first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Compare two models fold by fold.

    Parameters
    ----------
    metric : Metric
        Tells the direction.
    first, second : sequence of float
        The metric on the same folds.

    Returns
    -------
    tuple of float
        How much worse the first is, mean and standard error. The standard error is corrected for the overlap of
        the training sets of cross-validation (Nadeau and Bengio, 2003): the variance of the differences is
        multiplied by 1/k + 1/(k - 1) instead of 1/k, since a test fold is 1/(k - 1) of the training rows.
    """
    differences = [error(metric, a) - error(metric, b) for a, b in zip(first, second, strict=True)]
    k = len(differences)
    if k < 2:
        return float(np.mean(differences)), math.inf
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)), spread * math.sqrt(1.0 / k + 1.0 / (k - 1.0))


def evaluate(metric: Metric, entrants: Sequence[Entrant], incomplete: Sequence[str] = ()) -> Evaluation:
    """Rank entrants and choose one.

    Parameters
    ----------
    metric : Metric
        What decides.
    entrants : sequence of Entrant
        At least one; all with the same folds.
    incomplete : sequence of str
        Candidates that did not finish, for the record.

    Returns
    -------
    Evaluation
        Sorted best first. Chosen is the one that theory prefers among those within one standard error of the
        best, provided that it is not worse than the same learner with the default loss by more than that.
    """
    ranked = sorted(entrants, key=lambda e: (error(metric, float(np.mean(e.folds))), e.rank, e.learner))
    scores = tuple(_score(metric, entrant, ranked[0]) for entrant in ranked)
    preference = sorted((i for i, s in enumerate(scores) if s.tied), key=lambda i: (ranked[i].rank, i))
    chosen = next(i for i in preference if i == 0 or _safe(metric, scores, i))
    reference = _reference(scores, scores[chosen].learner)
    rule = _rule(metric, scores, chosen, reference)
    return Evaluation(scores, 0, chosen, reference, rule, tuple(incomplete), len(ranked[0].folds))


def _score(metric: Metric, entrant: Entrant, best: Entrant) -> Score:
    behind, behind_error = (0.0, 0.0) if entrant is best else paired(metric, entrant.folds, best.folds)
    return Score(
        label=entrant.label,
        config=entrant.config,
        learner=entrant.learner,
        settings=entrant.settings,
        folds=entrant.folds,
        mean=float(np.mean(entrant.folds)),
        standard_error=standard_error(entrant.folds),
        train_mean=float(np.mean(entrant.train)) if entrant.train else None,
        behind=behind,
        behind_error=behind_error,
        tied=behind <= behind_error,
        reference=entrant.reference,
        elicits=entrant.elicits,
        bias=entrant.bias,
    )


def _safe(metric: Metric, scores: Sequence[Score], index: int) -> bool:
    """Tell whether a tied score is not worse than the default loss by more than its plain standard error."""
    reference = _reference(scores, scores[index].learner)
    if reference is None or reference == index:
        return True
    pairs = zip(scores[index].folds, scores[reference].folds, strict=True)
    differences = [error(metric, a) - error(metric, b) for a, b in pairs]
    return float(np.mean(differences)) <= standard_error(differences)


def _reference(scores: Sequence[Score], learner: str) -> int | None:
    found = [i for i, s in enumerate(scores) if s.reference and s.learner == learner and not s.settings]
    return found[0] if found else None


def _rule(metric: Metric, scores: Sequence[Score], chosen: int, reference: int | None) -> str:
    best, winner = scores[0], scores[chosen]
    ties = sum(score.tied for score in scores) - 1
    name = f"{winner.label} with the {winner.learner} learner"
    if ties == 0:
        text = f"{name} is best by more than one standard error of the paired difference from every other"
    elif chosen == 0:
        text = f"{name} is best; {ties} more lie within one standard error, none of which theory prefers"
    else:
        text = (
            f"{best.label} ({best.learner}) has the best mean, but {name} is only {winner.behind:.4g} +- "
            f"{winner.behind_error:.4g} behind: a tie, in which theory's order prefers {winner.label}"
        )
    if reference is None or reference == chosen:
        return text
    gain, spread = paired(metric, scores[reference].folds, winner.folds)
    return f"{text}; against the default {scores[reference].label}: better by {gain:.4g} +- {spread:.4g}"
