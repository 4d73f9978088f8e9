"""Step 3: what each candidate claims, and whether its derivatives hold on this data's own values."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from lossmith.core.registry import from_config
from lossmith.core.verify import check_derivatives
from lossmith.frameworks.links import Affine, Exponential, Link, RowProbability
from lossmith.select.facts import Facts
from lossmith.select.rules import Candidate
from lossmith.workflow.links import link_for
from lossmith.workflow.records import LossCard

Array = np.ndarray[Any, Any]
_POINTS = 300


def cards(candidates: Iterable[Candidate], y: Array, facts: Facts, seed: int) -> tuple[LossCard, ...]:
    """Describe candidates and check their derivatives against finite differences, in the unit of training.

    Parameters
    ----------
    candidates : iterable of Candidate
        From step 2.
    y : ndarray, shape (n,)
        Targets: numbers or class codes.
    facts : Facts
        Problem analysis.
    seed : int
        Chooses the rows and the predictions.

    Returns
    -------
    tuple of LossCard
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(y.size, min(_POINTS, y.size), replace=False))
    return tuple(_card(candidate, y[rows], facts, np.random.default_rng(seed)) for candidate in candidates)


def _card(candidate: Candidate, y: Array, facts: Facts, rng: np.random.Generator) -> LossCard:
    loss = from_config(candidate.config)
    link = link_for(loss, y)
    target = link.encode(y)
    f = _predictions(link, target, len(facts.classes), rng)
    verdicts = {verdict.trait: verdict for verdict in check_derivatives(loss, target, f)}
    checked = [verdict for verdict in verdicts.values() if verdict.checked]
    return LossCard(
        label=candidate.label,
        config=candidate.config,
        formula=loss.formula,
        gradient=loss.about.gradient,
        traits=_readable(dataclasses.asdict(loss.traits)),
        points=y.size,
        gradient_error=_discrepancy(verdicts["gradient"].evidence),
        hessian_error=_discrepancy(verdicts["hessian"].evidence),
        passed=all(verdict.held for verdict in checked) if checked else None,
        note="; ".join(f"{verdict.trait}: {verdict.evidence}" for verdict in verdicts.values()),
    )


def _readable(traits: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in traits.items()}


def _predictions(link: Link, target: Array, classes: int, rng: np.random.Generator) -> Array:
    """Scores such as training meets: around the targets, around the log of their mean, or logits."""
    n = target.size
    if isinstance(link, Affine):
        return np.asarray(target + 2.0 * rng.normal(size=n))
    if isinstance(link, Exponential):
        return np.asarray(math.log(max(float(target.mean()), 1e-3)) + rng.normal(0.0, 0.5, n))
    return rng.normal(0.0, 2.0, (n, classes) if isinstance(link, RowProbability) else n)


def _discrepancy(evidence: str) -> float | None:
    found = re.search(r"worst relative discrepancy ([0-9.eE+-]+)", evidence)
    return float(found[1]) if found else None
