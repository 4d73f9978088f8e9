"""What a verifier says about one claim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The outcome of an attempt to refute one claim.

    Attributes
    ----------
    trait : str
        The field of :class:`~lossmith.core.traits.Traits`, or "gradient" or "hessian".
    claimed : object
        What the loss says.
    held : bool
        False when the claim was refuted.
    evidence : str
        One line with the numbers; for an unchecked claim, why nothing could be measured.
    checked : bool
        False when no measurement applies to this kind of loss: ``held`` then only means "not refuted".
    error : float, optional
        For derivatives, the worst relative discrepancy that the evidence names.
    """

    trait: str
    claimed: object
    held: bool
    evidence: str
    checked: bool = True
    error: float | None = None


def unchecked(trait: str, claimed: object, why: str) -> Verdict:
    """Return the verdict on a claim that cannot be measured."""
    return Verdict(trait, claimed, True, f"not checked: {why}", checked=False)
