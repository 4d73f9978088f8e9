"""Step 3: what each candidate claims, and whether its derivatives hold on this data's own values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.registry import from_config
from lossmith.select.facts import Facts
from lossmith.select.rules import Candidate
from lossmith.workflow.links import Affine, Exponential, Link, RowProbability, link_for
from lossmith.workflow.records import LossCard

Array = np.ndarray[Any, Any]
_POINTS = 500
_AGREE = 1e-5  # central differences in double precision reach about 1e-7 on losses of order 1


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
    gradient, skipped = _gradient_error(loss, target, f)
    hessian, more = _hessian_error(loss, target, f)
    worst = max(gradient, hessian if hessian is not None else 0.0)
    left_out = max(skipped, more)
    return LossCard(
        label=candidate.label,
        config=candidate.config,
        formula=loss.formula,
        gradient=loss.about.gradient,
        traits=_readable(dataclasses.asdict(loss.traits)),
        points=y.size,
        gradient_error=gradient,
        hessian_error=hessian,
        passed=worst <= _AGREE,
        note=f"{left_out} points next to a kink or an edge of the formula left out" if left_out else "",
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


def _gradient_error(loss: Loss, y: Array, f: Array) -> tuple[float, int]:
    ours = np.asarray(loss.gradient(y, f))

    def along(step: Array) -> Array:
        return np.asarray(loss(y, f + step, reduction="none"))

    if f.ndim == 1:
        return _compare(along, ours, f)
    worst = [_compare(lambda s, j=j: along(_only(s, j, f)), ours[:, j], f[:, j]) for j in range(f.shape[1])]  # type: ignore[misc]
    return max(w[0] for w in worst), max(w[1] for w in worst)


def _hessian_error(loss: Loss, y: Array, f: Array) -> tuple[float | None, int]:
    if loss.tier != "elementwise":
        return None, 0
    return _compare(lambda step: np.asarray(loss.gradient(y, f + step)), np.asarray(loss.hessian(y, f)), f)  # type: ignore[attr-defined]


def _only(step: Array, column: int, f: Array) -> Array:
    full = np.zeros_like(f)
    full[:, column] = step
    return full


def _compare(function: Callable[[Array], Array], derivative: Array, f: Array) -> tuple[float, int]:
    """Largest relative gap to a central difference, and how many points had a jump within the step."""
    h = 1e-5 * np.maximum(1.0, np.abs(f))
    above, middle, below = function(h), function(np.zeros_like(h)), function(-h)
    right, left = (above - middle) / h, (middle - below) / h
    scale = np.maximum(np.abs(derivative), np.maximum(np.median(np.abs(derivative)), 1e-3))
    # Where the one-sided slopes differ, a jump lies within the step and there is no derivative to compare.
    smooth = np.abs(right - left) <= 1e-2 * scale
    # Subtraction of values of size v leaves an error of about 1e-16 v / h, which is not the derivative's fault.
    noise = 4e-16 * np.maximum(np.abs(above), np.abs(below)) / h
    gap = np.maximum(np.abs(0.5 * (right + left) - derivative) - noise, 0.0) / scale
    return float(gap[smooth].max(initial=0.0)), int((~smooth).sum())
