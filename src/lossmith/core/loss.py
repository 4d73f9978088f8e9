"""Loss: what every loss of the catalogue can do, whatever its tier."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from ..ops import is_numpy
from . import contract, host
from .parameters import check_fields
from .reduce import check_reduction, reduce
from .traits import About, Traits

Array = Any


@dataclasses.dataclass(frozen=True)
class Loss(ABC):
    """Base of all losses: an immutable value whose fields are its hyper-parameters.

    A loss compares, hashes, pickles and prints by its fields. Arguments are always ``(y_true, y_pred)``.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    claims: ClassVar[Traits]
    about: ClassVar[About]
    tier: ClassVar[str]

    def __post_init__(self) -> None:
        check_fields(self)

    # --- the front door -------------------------------------------------------------------------------

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        reduction: str = "mean",
        *,
        broadcast: bool = False,
    ) -> Array:
        """Compute the loss.

        Parameters
        ----------
        y_true : array_like
            Targets. Must have the shape the tier asks for; a mismatch is an error, never a broadcast.
        y_pred : array_like
            Predictions (raw scores where the loss says so). Decides array library, dtype and device.
        sample_weight : array_like, optional
            One number >= 0 for each value, or for each sample. Weight 0 removes a sample; it may hold NaN.
        reduction : {"mean", "sum", "none"}
            "mean" is sum(w * l) / sum(w), 0 when all weights are 0.
        broadcast : bool
            Allow shapes that differ to be broadcast (elementwise losses only).

        Returns
        -------
        array
            A 0-dimensional value, or per-sample values for "none", in the predictions' library and dtype.

        Raises
        ------
        ValueError
            Shapes that differ, targets outside the loss's domain, bad weights, empty arrays.
        TypeError
            Things that are no numbers; targets and predictions of different libraries.
        """
        check_reduction(reduction)
        kernels = host.kernels(y_pred)
        if kernels is not None:
            found = kernels.reduced(self, y_true, y_pred, sample_weight, reduction, broadcast)
            if found is not None:
                return found
        y, f, weight = self._accept(y_true, y_pred, sample_weight, broadcast)
        return self._reduced(y, f, weight, reduction)

    def gradient(self, y_true: Any, y_pred: Any) -> Array:
        """Compute d(per-sample value) / d(y_pred), unreduced and unweighted.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.

        Returns
        -------
        array of y_pred's shape and dtype
            At a kink the subgradient nearest to 0.
        """
        return self.value_and_gradient(y_true, y_pred)[1]

    @abstractmethod
    def value_and_gradient(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array]:
        """Compute per-sample values and their gradient in one pass."""

    @abstractmethod
    def _accept(self, y_true: Any, y_pred: Any, sample_weight: Any, broadcast: bool) -> tuple[Any, Any, Array | None]:
        """Check and convert the inputs."""

    @abstractmethod
    def _values(self, y: Any, f: Any) -> Array:
        """Per-sample values with derivatives attached."""

    def _measure(self, y: Any, f: Any) -> Array | None:
        """What each sample counts in the mean besides its weight."""
        return None

    def _reduced(self, y: Any, f: Any, weight: Any, reduction: str) -> Array:
        """Combine the values; the structured tier does it together with the gradient."""
        if weight is not None and not is_numpy(f):
            y, f = contract.without_absent(y, f, weight)
        return reduce(self._values(y, f), weight, reduction, self._measure(y, f))

    # --- what it says about itself --------------------------------------------------------------------

    @classmethod
    def example(cls) -> Self:
        """Return an instance with default hyper-parameters."""
        return cls()

    @functools.cached_property
    def traits(self) -> Traits:
        """The claims of this loss with its hyper-parameters."""
        return self.claims.resolve(self)

    @property
    def formula(self) -> str:
        """The formula of one sample in LaTeX."""
        return self.about.formula

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description that ``from_config`` turns into an equal loss.

        Examples
        --------
        >>> import lossmith as lm
        >>> lm.Huber(delta=1.35).to_config()
        {'loss': 'huber', 'params': {'delta': 1.35}}
        """
        params = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.init}
        return {"loss": self.name, "params": params}


def _plain(value: Any) -> Any:
    if isinstance(value, Loss):
        return value.to_config()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{value!r} cannot be written into a configuration; use a part that has a name")
