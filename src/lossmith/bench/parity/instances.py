"""Every loss of the registry with hyper-parameters and inputs on which libraries are compared.

Nothing here is a list of losses: settings follow from what the fields of a loss accept, targets and predictions
from its domains. Structured losses take the inputs of the benchmark, in small.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.domain import Domain
from ...core.elementwise import ElementwiseLoss
from ...core.loss import Loss
from ...core.registry import loss_class, names
from ...core.rowwise import RowWiseLoss
from ...core.structured import StructuredLoss
from ...core.verify.rows import Rows
from ...losses.compose import WeightedSum
from ..families import FAMILIES

Array = npt.NDArray[Any]

# Everyday numbers, next to them and far out; formulas are told apart by branches at 0 and 1 and by tails.
_TARGETS = np.array([0.0, 1.0, -1.0, 2.0, 0.3, 5.0, -2.5])
_DISTANCES = np.array([0.0, 1e-6, 1e-3, 0.07, 0.4, 0.9, 1.0, 1.6, 3.2, 4.0, 9.0, 21.0, 60.0])
_SHARES = np.array([1e-6, 0.01, 0.2, 0.45, 0.5, 0.65, 0.9, 0.999])
_ROWS = 6


@dataclass(frozen=True, eq=False)
class Instance:
    """A loss with its hyper-parameters, and the numbers it is tried on.

    Attributes
    ----------
    loss : Loss
        The loss.
    y, f : ndarray
        Targets and predictions, in float64 or integers.
    targets : str
        What the targets are, where a loss takes several kinds: "labels" or "rows".
    """

    loss: Loss
    y: Array
    f: Array
    targets: str = ""

    @property
    def name(self) -> str:
        """The loss as text, and what its targets are."""
        return f"{self.loss!r}, {self.targets}" if self.targets else repr(self.loss)

    @property
    def head(self) -> Any:
        """The loss, or the first of those it is made of."""
        return self.loss.losses[0] if isinstance(self.loss, WeightedSum) else self.loss

    @property
    def elementwise(self) -> bool:
        """Whether a value belongs to one number, and is held to a few units in the last place."""
        return isinstance(self.head, ElementwiseLoss)

    @property
    def on_simplex(self) -> bool:
        """Whether a prediction is a distribution, so that its numbers can only change with their sum kept."""
        return isinstance(self.loss, RowWiseLoss) and self.loss.inputs == "probabilities"

    @property
    def reduction(self) -> str:
        """How values are compared: one by one, unless they share predictions."""
        shared = isinstance(self.loss, StructuredLoss) and not self.loss.separate
        return "mean" if shared else "none"

    def arrays(self, dtype: str) -> tuple[Array, Array]:
        """Targets and predictions; floats rounded to a precision."""
        return (self.y.astype(dtype) if self.y.dtype.kind == "f" else self.y), self.f.astype(dtype)


def instances(wanted: Sequence[str] = (), *, quick: bool = False) -> list[Instance]:
    """Return the instances of losses.

    Parameters
    ----------
    wanted : sequence of str
        Names or aliases; all losses if empty.
    quick : bool
        Only with default settings.

    Returns
    -------
    list of Instance
        Each loss with each kind of prediction and each of its settings changed once.
    """
    classes = [loss_class(name) for name in wanted or names()]
    return [instance for kind in classes for loss in variants(kind, quick=quick) for instance in _tried(loss)]


def variants(kind: type[Loss], *, quick: bool = False) -> list[Loss]:
    """Return a loss with its default settings and with each setting changed, for each kind of prediction.

    Parameters
    ----------
    kind : type
        A class of the registry.
    quick : bool
        For each kind of prediction only.
    """
    base = kind.example()
    others = {f.name: f.metadata["check"].others for f in dataclasses.fields(base) if "check" in f.metadata}
    kinds = [base, *(_changed(base, "inputs", value) for value in others.pop("inputs", ()))]
    changed = [] if quick else [_changed(*one) for one in _each(kinds, others)]
    return list(dict.fromkeys(loss for loss in (*kinds, *changed) if loss is not None))


def _each(kinds: list[Loss | None], others: dict[str, Any]) -> Iterator[tuple[Loss, str, Any]]:
    for loss in kinds:
        for name, values in others.items():
            yield from ((loss, name, value) for value in values if loss is not None)


def _changed(loss: Loss, name: str, value: Any) -> Loss | None:
    """Return a loss with another setting; None where it does not go with the rest."""
    try:
        return dataclasses.replace(loss, **{name: value})
    except ValueError:
        return None


def _tried(loss: Loss) -> Iterator[Instance]:
    if isinstance(loss, WeightedSum):
        yield from (dataclasses.replace(one, loss=loss) for one in _tried(loss.losses[0]))
    elif isinstance(loss, ElementwiseLoss):
        yield Instance(loss, *_elements(loss))
    elif isinstance(loss, RowWiseLoss):
        yield from _rows(loss)
    else:
        yield Instance(loss, *_structure(loss))


# --- inputs -------------------------------------------------------------------------------------------


def _elements(loss: ElementwiseLoss) -> tuple[Array, Array]:
    pairs = [(y, f) for y in _TARGETS[loss.domain.contains(_TARGETS)] for f in _near(y, loss.prediction_domain)]
    y, f = np.array(pairs).T
    return np.ascontiguousarray(y), np.ascontiguousarray(f)


def _near(y: float, domain: Domain) -> Array:
    """Predictions of all sizes: shares where these are accepted and distances are not, else around the target."""
    ends = domain.contains(np.array([-1.0, 2.0]))
    if not ends.any():
        return _SHARES
    around = np.concatenate([y - _DISTANCES, y + _DISTANCES, -_DISTANCES, _DISTANCES])
    accepted = around if ends.all() else around[around > 0.0]
    return np.unique(accepted[domain.contains(accepted)])


def _rows(loss: RowWiseLoss) -> Iterator[Instance]:
    rng, view = np.random.default_rng(3), Rows(loss)
    if view.space not in ("", "columns"):
        k = view.class_counts[0] if len(view.class_counts) == 1 else 3
        f = view.predictions(rng.normal(0.0, 1.0, (_ROWS, k)) * 10.0 ** np.linspace(-0.3, 1.0, _ROWS)[:, None])
        if view.soft:
            yield Instance(loss, rng.dirichlet(np.ones(k), _ROWS), f, "rows")
        labels = rng.integers(0, k, _ROWS)
        if _accepts(loss, labels, f):
            yield Instance(loss, labels, f, "labels")
        return
    f = rng.normal(0.0, 1.5, (_ROWS, 2))
    positive = view.space == "" or not loss.prediction_domains[loss.inputs][1].contains(np.array([-1.0]))[0]
    yield Instance(loss, rng.normal(0.0, 2.0, _ROWS), np.stack([f[:, 0], np.exp(f[:, 1])], -1) if positive else f)


def _accepts(loss: Loss, y: Array, f: Array) -> bool:
    try:
        loss(y, f)
    except ValueError:
        return False
    return True


def _structure(loss: Loss) -> tuple[Array, Array]:
    family = FAMILIES.get(loss.name)
    if family is None or not family.tiny:
        raise NotImplementedError(f"{loss.name}: bench/families.py has no inputs to try it on; add a tiny shape")
    made = family.make(np.random.default_rng(4), family.tiny)
    if getattr(loss, "inputs", "") == "probabilities":
        return made["y"], 1.0 / (1.0 + np.exp(-made["f"]))
    return made["y"], made["f"]
