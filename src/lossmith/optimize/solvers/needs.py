"""What a solver needs of a loss and a penalty: a closed record, and the words for what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..penalties import Elastic, Penalty, Separable
from ..smoothing import is_piecewise_linear

Kinks = Literal["none", "rows", "any", "wanted", "one"]
PenaltyKind = Literal["smooth", "elastic", "separable", "proximal"]


@dataclass(frozen=True)
class Needs:
    """What a solver needs; every field is a statement, its default too.

    Attributes
    ----------
    kinks : str
        "none": the loss must have a gradient everywhere. "rows": kinks are tolerated in losses on rows of scores, for
        which nothing better is at hand. "any": they may be there. "wanted": the loss must have some, at known places.
        "one": it must be two straight lines that meet in a kink.
    convex : bool
        The loss must be convex.
    hessian : bool
        The loss must have second derivatives that are not 0 everywhere.
    bounded : bool
        They must be bounded.
    one_output : bool
        The loss must take one number a sample, not a row of scores.
    penalty : str
        "smooth": none or L2. "elastic": L1, L2 or both. "separable": any sum over coefficients, such as MCP, SCAD or
        limits. "proximal": any with a proximal step, such as groups.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solvers.Newton().needs.missing(lm.Tukey(), lm.L1(0.1))
    ('a convex loss (tukey is not)', 'no penalty or L2 (not L1)')
    """

    kinks: Kinks = "none"
    convex: bool = False
    hessian: bool = False
    bounded: bool = False
    one_output: bool = False
    penalty: PenaltyKind = "smooth"

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what a loss and a penalty lack, in words.

        Parameters
        ----------
        loss : Loss
            On raw scores.
        penalty : Penalty or None
            On the coefficients.

        Returns
        -------
        tuple of str
            Empty if they fit.
        """
        return (*self.missing_in_loss(loss), *self.missing_in_penalty(loss, penalty))

    def missing_in_loss(self, loss: Any) -> tuple[str, ...]:
        """Return what a loss lacks."""
        traits, name = loss.traits, _name(loss)
        found = [self._missing_kinks(loss)]
        if self.convex and not traits.convex:
            found.append(f"a convex loss ({name} is not)")
        if self.hessian and not traits.kinks and traits.smooth == 0.0:
            found.append(f"second derivatives (those of {name} are 0)")
        if self.bounded and not traits.smooth < float("inf") and not traits.kinks:
            found.append(f"a loss of bounded curvature (that of {name} has no bound)")
        if self.one_output and loss.tier != "elementwise":
            found.append(f"a loss with one number a sample ({name} takes a row of scores)")
        return tuple(text for text in found if text)

    def _missing_kinks(self, loss: Any) -> str:
        kinks, name = loss.traits.kinks, _name(loss)
        rows = loss.tier != "elementwise"
        if kinks and (self.kinks == "none" or (self.kinks == "rows" and not rows)):
            places = " and ".join(f"{kink:g}" for kink in kinks)
            straight = self.hessian and not rows and is_piecewise_linear(loss)
            flat = ", and second derivatives that are 0 elsewhere" if straight else ""
            return f"a loss without kinks ({name} has {'one' if len(kinks) == 1 else 'some'} at {places}{flat})"
        if self.kinks == "wanted" and (not kinks or (rows and len(kinks) > 1)):
            return f"a loss with kinks ({name} has {'none' if not kinks else 'several on rows of scores'})"
        if self.kinks == "one" and (rows or len(kinks) != 1 or not is_piecewise_linear(loss)):
            return f"a loss of two straight lines ({name} is another)"
        return ""

    def missing_in_penalty(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what a penalty lacks."""
        if penalty is None:
            return ()
        given, several = type(penalty).__name__, loss.tier != "elementwise"
        if self.penalty == "smooth" and not penalty.smooth:
            return (f"no penalty or L2 (not {given})",)
        if self.penalty in ("smooth", "elastic") and not isinstance(penalty, Elastic):
            return (f"no penalty, L1, L2 or ElasticNet (not {given})",)
        if (self.penalty == "separable" or several) and not isinstance(penalty, Separable):
            return (f"a penalty on single coefficients, such as L1, MCP or Box (not {given})",)
        return ()


def _name(loss: Any) -> str:
    return str(getattr(loss, "name", type(loss).__name__))
