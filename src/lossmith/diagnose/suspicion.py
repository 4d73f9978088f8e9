"""Symptoms that no rule found, but that the numbers taken together speak for: told from the causes' probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lossmith.diagnose.causes import HEALTHY, Cause
from lossmith.diagnose.symptoms import RULES, SEVERITIES, Symptom

SHOWS: Mapping[str, str] = MappingProxyType(
    {
        "learning-rate-too-high": "LM-OSCILLATE",
        "learning-rate-too-low": "LM-SLOW",
        "learning-rate-decay": "LM-LRZERO",
        "too-few-steps": "LM-SLOW",
        "optimizer-not-stepping": "LM-FROZEN",
        "gradient-not-reset": "LM-NOZERO",
        "fp16-overflow": "LM-EXPLODE",
        "fp16-underflow": "LM-UNDERFLOW",
        "weight-decay-too-high": "LM-PLATEAU",
        "dropout-too-high": "LM-PLATEAU",
        "dropout-in-eval": "LM-MODE",
        "batchnorm-eval-mode": "LM-MODE",
        "batch-too-small": "LM-OSCILLATE",
        "frozen-layers": "LM-FROZEN",
        "zero-initialisation": "LM-VANISH",
        "dead-relu": "LM-DEAD",
        "deep-sigmoid": "LM-VANISH",
        "bad-initialisation-small": "LM-VANISH",
        "bad-initialisation-large": "LM-EXPLODE",
        "double-softmax": "LM-OUTPUT",
        "missing-sigmoid": "LM-OUTPUT",
        "mse-on-logits": "LM-OUTPUT",
        "wrong-output-activation": "LM-OUTPUT",
        "wrong-loss-for-target": "LM-OUTPUT",
        "local-minimum": "LM-MINIMA",
        "model-too-small": "LM-PLATEAU",
        "unscaled-inputs": "LM-SCALE",
        "unscaled-target": "LM-SCALE",
        "label-noise": "LM-LABELS",
        "label-mismatch": "LM-LABELS",
        "train-eval-mismatch": "LM-DISAGREE",
        "no-regularisation": "LM-OVERFIT",
        "class-imbalance": "LM-IMBALANCE",
        "class-weights-inverted": "LM-IMBALANCE",
        "outliers": "LM-OUTLIERS",
        "nan-in-data": "LM-NAN",
        "data-leak": "LM-LEAK",
        "sorted-batches": "LM-SORTED",
    }
)
"""The symptom that a cause amounts to, whatever else it may show."""
ENOUGH = 0.3
"""Probability of all causes of a symptom from which it is told."""
WELL = 0.08
"""Probability of "healthy" below which a run is suspected in which no rule found anything. Of 300 sound runs, each
judged without its data set, rules accuse 10 with a live model and 8 by the log; with what is suspected 13 and 13."""


def with_suspected(found: Sequence[Symptom], causes: Sequence[Cause]) -> tuple[Symptom, ...]:
    """Add the symptom that the likeliest causes amount to, if no rule found it.

    Parameters
    ----------
    found : sequence of Symptom
        What the rules found.
    causes : sequence of Cause
        All causes, with "healthy"; none if they were not asked for.

    Returns
    -------
    tuple of Symptom
        Errors first; one warning more than was given, or as given.

    Examples
    --------
    >>> from lossmith.diagnose.causes import Cause
    >>> leak = Cause("data-leak", "what should be unknown is known", 0.97, (), ())
    >>> sound = Cause("healthy", "nothing wrong that this diagnosis knows", 0.03, (), ())
    >>> [symptom.id for symptom in with_suspected((), (leak, sound))]
    ['LM-LEAK']
    """
    shares: dict[str, float] = {}
    for cause in causes:
        if cause.id in SHOWS:
            shares[SHOWS[cause.id]] = shares.get(SHOWS[cause.id], 0.0) + cause.probability
    first = max(shares, key=lambda key: shares[key], default="")
    well = sum(cause.probability for cause in causes if cause.id == HEALTHY)
    known = {s.id for s in found if s.severity != "info"}
    if not first or first in known or shares[first] < ENOUGH or not (known or well < WELL):
        return tuple(found)
    added = [*(s for s in found if s.id != first), _symptom(first, shares[first], well, causes)]
    return tuple(sorted(added, key=lambda s: SEVERITIES.index(s.severity)))


def _symptom(key: str, share: float, well: float, causes: Sequence[Cause]) -> Symptom:
    name = next(rule.name for rule in RULES if rule.id == key)
    best = next(cause for cause in causes if SHOWS.get(cause.id) == key)
    text = (
        f"no single check shows it, but all numbers together give {share:.0%} (threshold: {ENOUGH:.0%}) to causes "
        f"that show so, first of all: {best.name}; {well:.0%} to a sound run"
    )
    numbers = {"probability": share, "probability_limit": ENOUGH, "sound": well}
    return Symptom(key, name, "warning", text, numbers)
