"""Losses made of losses: weighted sums on one prediction, and multi-task losses on several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ..core import contract
from ..core.loss import Loss
from ..core.parameters import Check, custom, weights
from ..core.reduce import check_reduction
from ..core.registry import get, register
from ..core.traits import NOT_STATED, About, Traits

Array = Any


def _losses(value: Any) -> tuple[Loss, ...]:
    made = tuple(get(item) for item in value)
    if not made or not all(isinstance(loss, Loss) for loss in made):
        raise TypeError
    return made


def _no_numbers(value: Any) -> tuple[float, ...]:
    return ()


_PARTS = Check("a sequence of losses or their names", _losses, _no_numbers)


@register("weighted_sum", aliases=("sum_of_losses",))
@dataclass(frozen=True)
class WeightedSum(Loss):
    """Weighted sum of losses on the same targets and predictions, such as Dice plus cross-entropy.

    Parameters
    ----------
    losses : sequence of Loss or str
        The parts. They must accept the same targets and predictions.
    weights : sequence of float, optional
        One number >= 0 for each part; 1 if not given.

    Notes
    -----
    Parts of one tier are summed sample by sample. Parts of different tiers, such as Dice on masks and
    cross-entropy on pixels, have no samples in common: their means (or sums) are added, and ``gradient`` is
    that of the mean.

    Examples
    --------
    >>> import lossmith as lm
    >>> loss = lm.WeightedSum(("mse", "mae"), (1.0, 0.5))
    >>> float(loss([0.0], [2.0])), loss.gradient([0.0], [2.0]).tolist()
    (5.0, [4.5])
    """

    losses: tuple[Loss, ...] = custom((), _PARTS)
    weights: tuple[float, ...] | None = weights()
    tier: ClassVar[str] = "composed"
    claims = Traits(
        task="regression",
        lipschitz=NOT_STATED,
        smooth=NOT_STATED,
        strong=NOT_STATED,
        convex=lambda loss: all(part.traits.convex for part in loss.losses),
    )
    about = About(
        formula=r"\ell(y, f) = \sum_i w_i \ell_i(y, f)",
        gradient=r"\sum_i w_i \ell_i'(y, f)",
        pros="combines what each part is good at",
        cons="the weights depend on the parts' units",
        best_for="Dice plus cross-entropy; a data term plus a shape term",
        reference="elementary",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and len(self.weights) != len(self.losses):
            raise ValueError(f"WeightedSum: {len(self.weights)} weights for {len(self.losses)} losses; give one each")

    @classmethod
    def example(cls) -> Self:
        """Return squared plus half the absolute error."""
        return cls(("mse", "mae"), (1.0, 0.5))  # type: ignore[arg-type]

    @property
    def parts(self) -> tuple[tuple[float, Loss], ...]:
        """Weights and losses."""
        factors = self.weights or (1.0,) * len(self.losses)
        return tuple(zip(factors, self.losses, strict=True))

    @property
    def mixed(self) -> bool:
        """Whether the parts are of different tiers."""
        return len({part.tier for part in self.losses}) > 1

    def gradient(self, y_true: Any, y_pred: Any) -> Array:
        """Compute the gradient by y_pred: per sample, or that of the mean when the parts differ in tier.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.

        Returns
        -------
        array of y_pred's shape and dtype
            The weighted sum of the parts' gradients.
        """
        one = _mean_gradient if self.mixed else _own_gradient
        return _total(weight * one(loss, y_true, y_pred) for weight, loss in self.parts)

    def hessian(self, y_true: Any, y_pred: Any) -> Array:
        """Compute the weighted sum of the parts' Hessians.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.

        Returns
        -------
        array
            Of the shape the parts' Hessians have.

        Raises
        ------
        ValueError
            When the parts have no Hessians of one shape: structured losses have none, and those of different
            tiers do not add up.
        """
        without = [part.name for part in self.losses if part.tier == "structured"]
        if without or self.mixed:
            reason = f"{without[0]} has none" if without else "the parts are of different tiers"
            raise ValueError(f"WeightedSum: there is no Hessian, since {reason}; use the gradient")
        return _total(weight * loss.hessian(y_true, y_pred) for weight, loss in self.parts)  # type: ignore[attr-defined]

    def value_and_gradient(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array]:
        """Compute per-sample values and gradient; mean and its gradient when the parts differ in tier.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.
        out : tuple of two ndarrays, optional
            Arrays to fill (NumPy only).

        Returns
        -------
        tuple of arrays
            Values and gradient.
        """
        if self.mixed:
            result: tuple[Array, ...] = (self(y_true, y_pred), self.gradient(y_true, y_pred))
        else:
            pairs = [(weight, loss.value_and_gradient(y_true, y_pred)) for weight, loss in self.parts]
            result = tuple(_total(weight * pair[i] for weight, pair in pairs) for i in (0, 1))
        if out is None:
            return result[0], result[1]
        out[0][...], out[1][...] = result
        return out[0], out[1]

    def _accept(self, y_true: Any, y_pred: Any, sample_weight: Any, broadcast: bool) -> tuple[Any, Any, Any]:
        if not broadcast:
            return y_true, y_pred, sample_weight
        f = contract.predictions(y_pred)
        return *contract.same_shape(contract.targets(y_true, f), f, broadcast=True), sample_weight

    def _reduced(self, y: Any, f: Any, weight: Any, reduction: str) -> Array:
        if self.mixed and reduction == "none":
            tiers = ", ".join(f"{part.name} is {part.tier}" for part in self.losses)
            raise ValueError(f"WeightedSum: the parts have no samples in common ({tiers}); reduce by 'mean' or 'sum'")
        return _total(factor * loss(y, f, weight, reduction) for factor, loss in self.parts)

    def _values(self, y: Any, f: Any) -> Array:
        return self._reduced(y, f, None, "none")


def parts_of(loss: Loss) -> tuple[Loss, ...]:
    """Return the losses of a weighted sum, those of sums inside it too; any other loss is its only part."""
    if not isinstance(loss, WeightedSum):
        return (loss,)
    return tuple(small for part in loss.losses for small in parts_of(part))


def _own_gradient(loss: Loss, y_true: Any, y_pred: Any) -> Array:
    return loss.gradient(y_true, y_pred)


def _mean_gradient(loss: Loss, y_true: Any, y_pred: Any) -> Array:
    """Gradient of the mean, which the structured tier gives itself."""
    gradient = loss.gradient(y_true, y_pred)
    if loss.tier == "structured":
        return gradient
    y, f, _ = loss._accept(y_true, y_pred, None, False)
    measure = loss._measure(y, f)
    count = math.prod(f.shape if loss.tier == "elementwise" else f.shape[:-1])
    return gradient / (count if measure is None else measure.sum())


def _total(terms: Any) -> Any:
    iterator = iter(terms)
    total = next(iterator)
    for term in iterator:
        total = total + term
    return total


def _tasks(value: Any) -> dict[str, Loss]:
    made = {str(name): get(loss) for name, loss in dict(value).items()}
    if not made:
        raise ValueError("MultiTask: no tasks were given; give one loss for each task, {'price': 'mse', ...}")
    return made


@dataclass(frozen=True)
class MultiTask:
    """A loss for several tasks at once: the weighted sum of each task's mean loss.

    Parameters
    ----------
    tasks : mapping of str to Loss or str
        One loss for each task.
    weights : mapping of str to float, optional
        Factors >= 0; 1 for tasks not named.

    Examples
    --------
    >>> import lossmith as lm
    >>> loss = lm.MultiTask({"price": "mse", "sold": "bce"}, {"sold": 0.5})
    >>> value = loss({"price": [1.0], "sold": [1]}, {"price": [3.0], "sold": [0.0]})
    >>> round(float(value), 6)
    4.346574
    """

    tasks: Mapping[str, Any]
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", _tasks(self.tasks))
        unknown = sorted(set(self.weights) - set(self.tasks))
        if unknown:
            raise ValueError(f"MultiTask: no task is called {unknown[0]!r}; tasks: {', '.join(self.tasks)}")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"MultiTask: the weight of {name!r} is {weight}; give a finite number >= 0")

    def __call__(
        self,
        y_true: Mapping[str, Any],
        y_pred: Mapping[str, Any],
        sample_weight: Mapping[str, Any] | None = None,
        reduction: str = "mean",
    ) -> Array:
        """Compute the total.

        Parameters
        ----------
        y_true, y_pred : mapping of str to array_like
            Targets and predictions of each task.
        sample_weight : mapping of str to array_like, optional
            Weights of each task's samples; weight 0 marks a sample without a label for that task.
        reduction : {"mean", "sum"}
            How each task's values are combined.

        Returns
        -------
        array
            The weighted sum of the tasks' losses.

        Raises
        ------
        ValueError
            When a task is missing from the targets or predictions.
        """
        values = self.each(y_true, y_pred, sample_weight, reduction)
        return _total(self.weights.get(name, 1.0) * value for name, value in values.items())

    def each(
        self,
        y_true: Mapping[str, Any],
        y_pred: Mapping[str, Any],
        sample_weight: Mapping[str, Any] | None = None,
        reduction: str = "mean",
    ) -> dict[str, Array]:
        """Compute the unweighted loss of each task; arguments as in the call."""
        check_reduction(reduction)
        if reduction == "none":
            raise ValueError("reduction='none' has no meaning across tasks; give 'mean' or 'sum'")
        self._require(y_true, "y_true")
        self._require(y_pred, "y_pred")
        given = sample_weight or {}
        return {name: loss(y_true[name], y_pred[name], given.get(name), reduction) for name, loss in self.tasks.items()}

    def gradient(self, y_true: Mapping[str, Any], y_pred: Mapping[str, Any]) -> dict[str, Array]:
        """Compute each task's per-sample gradient, times the task's weight."""
        self._require(y_true, "y_true")
        self._require(y_pred, "y_pred")
        return {
            name: self.weights.get(name, 1.0) * loss.gradient(y_true[name], y_pred[name])
            for name, loss in self.tasks.items()
        }

    def _require(self, given: Mapping[str, Any], argument: str) -> None:
        if not isinstance(given, Mapping) or set(given) != set(self.tasks):
            names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
            raise ValueError(f"MultiTask: {argument} has {names}; give one entry for each of {sorted(self.tasks)}")
