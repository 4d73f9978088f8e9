"""Which function ``to_jax`` makes of which loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.loss import Loss
from ..losses import CTC, Contrastive, InfoNCE, NegativeLogLikelihood, Triplet, WeightedSum
from .jax_layouts import DistributionFunction, ElementwiseFunction, LossFunction, RowFunction
from .jax_structured import ContrastiveFunction, InfoNCEFunction, SequenceFunction, TargetFunction, TripletFunction

Array = Any

_OWN: dict[type[Loss], type[LossFunction]] = {
    CTC: SequenceFunction,
    Contrastive: ContrastiveFunction,
    InfoNCE: InfoNCEFunction,
    NegativeLogLikelihood: DistributionFunction,
    Triplet: TripletFunction,
}
_TIERS: dict[str, type[LossFunction]] = {
    "elementwise": ElementwiseFunction,
    "row-wise": RowFunction,
    "structured": TargetFunction,
}


def function(loss: Loss, reduction: str | None) -> LossFunction | SumFunction:
    """Return the function for a loss; arguments as in :func:`lossmith.to_jax`."""
    if not isinstance(loss, WeightedSum):
        return _OWN.get(type(loss), _TIERS[loss.tier])(loss, reduction)
    if loss.mixed and reduction == "none":
        raise ValueError(f"{loss!r} has parts without samples in common; reduce by 'mean' or 'sum'")
    reduction = reduction or ("mean" if loss.mixed else None)
    return SumFunction(loss, reduction, tuple(function(part, reduction) for part in loss.losses))


@dataclass(frozen=True)
class SumFunction:
    """A weighted sum of losses: each part takes what it takes alone.

    Attributes
    ----------
    loss : WeightedSum
        Which one.
    reduction : str or None
        As in ``to_jax``.
    parts : tuple of functions
        One for each part.
    """

    loss: WeightedSum
    reduction: str | None
    parts: tuple[Any, ...]

    def __call__(self, *arguments: Array, where: Array | None = None, sample_weight: Array | None = None) -> Array:
        """Compute the weighted sum of the parts' losses."""
        values = (part(*arguments, where=where, sample_weight=sample_weight) for part in self.parts)
        return sum(factor * value for (factor, _), value in zip(self.loss.parts, values, strict=True))
