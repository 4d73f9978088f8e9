"""Try to refute, by numbers, what a loss claims about itself.

One verifier stands against each field of the closed record :class:`~lossmith.core.traits.Traits`. It works
on the loss as users call it, over targets and predictions of all sizes, next to targets, kinks and borders
of the domain, and in both tails. A claim of False or "" is a claim too: it is refuted when the property
holds. A number must be a bound and must be attained within one percent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..elementwise import ElementwiseLoss
from ..loss import Loss
from ..registry import get
from ..rowwise import RowWiseLoss
from . import decision, row_claims, shape
from .derivatives import check_derivatives
from .rows import Rows
from .scan import Scan
from .shape import Finding
from .verdict import Verdict, unchecked

__all__ = ["VERIFIERS", "Verdict", "Verifier", "check_derivatives", "verify", "verify_claim"]


@dataclass(frozen=True)
class Verifier:
    """The attempt to refute one field of the record, for both tiers that have one prediction a sample.

    Attributes
    ----------
    elementwise : callable
        ``elementwise(scan, claimed)`` tells whether the claim held, and the evidence.
    row_wise : callable
        The same for rows.
    """

    elementwise: Callable[[Scan, Any], Finding]
    row_wise: Callable[[Rows, Any], Finding]


VERIFIERS: Mapping[str, Verifier] = {
    "task": Verifier(decision.task, row_claims.task),
    "convex": Verifier(shape.convex, row_claims.convex),
    "lipschitz": Verifier(shape.lipschitz, row_claims.lipschitz),
    "smooth": Verifier(shape.smooth, row_claims.smooth),
    "strong": Verifier(shape.strong, row_claims.strong),
    "kinks": Verifier(shape.kinks, row_claims.kinks),
    "symmetric": Verifier(shape.symmetric, row_claims.symmetric),
    "robust": Verifier(shape.robust, row_claims.robust),
    "proper": Verifier(decision.proper, row_claims.proper),
    "calibrated": Verifier(decision.calibrated, row_claims.calibrated),
    "elicits": Verifier(decision.elicits, row_claims.elicits),
    "constant_hessian": Verifier(shape.constant_hessian, row_claims.constant_hessian),
}


def verify(loss: Loss | str) -> tuple[Verdict, ...]:
    """Try to refute every claim of a loss.

    Parameters
    ----------
    loss : Loss or str
        The loss with its hyper-parameters, or its name.

    Returns
    -------
    tuple of Verdict
        One for each field of the traits. The same loss always gets the same verdicts.

    Examples
    --------
    >>> import lossmith as lm
    >>> from lossmith.core.verify import verify
    >>> all(verdict.held for verdict in verify(lm.Huber(delta=1.35)))
    True
    """
    loss = get(loss)
    view = _view(loss)
    return tuple(_examine(view, trait, getattr(loss.traits, trait)) for trait in VERIFIERS)


def verify_claim(loss: Loss, trait: str, claimed: Any) -> Verdict:
    """Try to refute one claim about a loss, whatever the loss itself says.

    Parameters
    ----------
    loss : Loss
        The loss.
    trait : str
        A field of the traits.
    claimed : object
        What is claimed.

    Returns
    -------
    Verdict
        The outcome.

    Raises
    ------
    ValueError
        When no trait has that name.

    Examples
    --------
    >>> import lossmith as lm
    >>> from lossmith.core.verify import verify_claim
    >>> verdict = verify_claim(lm.LogCosh(), "strong", 1.0)
    >>> verdict.held, verdict.evidence
    (False, 'inf curvature = 0 at y=-100, f=-1e+08 is beyond the claim')
    """
    if trait not in VERIFIERS:
        raise ValueError(f"no trait is called {trait!r}; traits: {', '.join(VERIFIERS)}")
    return _examine(_view(loss), trait, claimed)


def _view(loss: Loss) -> Scan | Rows | str:
    """How to look at a loss, or why nothing can be measured."""
    if isinstance(loss, ElementwiseLoss):
        return Scan(loss)
    if isinstance(loss, RowWiseLoss):
        rows = Rows(loss)
        return rows if rows.space else "which predictions its formulas accept is not declared"
    return f"a {loss.tier} loss has no single prediction a sample along which a claim could be followed"


def _examine(view: Scan | Rows | str, trait: str, claimed: Any) -> Verdict:
    if isinstance(view, str):
        return unchecked(trait, claimed, view)
    if isinstance(claimed, float) and math.isnan(claimed):
        return unchecked(trait, claimed, "no number is stated")
    verifier = VERIFIERS[trait]
    if isinstance(view, Scan):
        held, evidence = verifier.elementwise(view, claimed)
    else:
        held, evidence = verifier.row_wise(view, claimed)
    return Verdict(trait, claimed, held, evidence)
