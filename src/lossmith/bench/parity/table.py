"""The table of cells: which loss, in which library and precision, and how far its numbers are from the right ones."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._version import __version__
from ...core.errors import InputError
from .exact import NoReferenceError, reference
from .instances import Instance, instances
from .libraries import GRADIENT, HESSIAN, LIBRARIES, ORDERS, VALUE, Library
from .measures import by_numpy, in_ulps, relative, terms

Host = npt.NDArray[Any]

NUMPY = "numpy"
DTYPES = ("float64", "float32")
PASSED, FAILED, UNTOLD = "passed", "failed", "untold"
ULPS = (4.0, 16.0)  # of values and gradients, and of Hessians
RELATIVE = {"float64": 1e-12, "float32": 1e-5}


@dataclass(frozen=True)
class Cell:
    """One comparison.

    Attributes
    ----------
    loss, instance : str
        The loss's name, and with its hyper-parameters.
    library, dtype, order : str
        What computed which derivative in which precision.
    state : {"passed", "failed", "untold"}
        Untold cells have a reason.
    error, bound : float
        The largest error found and what is allowed, in ``unit``.
    unit : {"ulp", "relative"}
        Units in the last place of each number for elementwise losses; else relative to a sample's largest number.
    place : str
        Where the largest error is.
    reason : str
        Why there is no number.
    """

    loss: str
    instance: str
    library: str
    dtype: str
    order: str
    state: str
    error: float = 0.0
    bound: float = 0.0
    unit: str = ""
    place: str = ""
    reason: str = ""


@dataclass
class Parity:
    """All cells of a run, and what took part.

    Attributes
    ----------
    cells : list of Cell
        In the order of losses and libraries.
    libraries : dict
        Of each library, its version or why it did not take part.
    """

    cells: list[Cell] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[Cell]:
        """The cells beyond their bound."""
        return [cell for cell in self.cells if cell.state == FAILED]

    def count(self, state: str) -> int:
        """How many cells are in a state."""
        return sum(cell.state == state for cell in self.cells)

    def to_json(self) -> str:
        """Return everything as JSON."""
        facts = {
            "lossmith": __version__,
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "libraries": self.libraries,
            "counts": {state: self.count(state) for state in (PASSED, FAILED, UNTOLD)},
            "cells": [asdict(cell) for cell in self.cells],
        }
        return json.dumps(facts, indent=1)


def compare(
    losses: Sequence[str] = (),
    libraries: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    *,
    hessian: bool = True,
    quick: bool = False,
    tell: Callable[[str], None] = lambda name: None,
) -> Parity:
    """Compare losses in array libraries with each other and with exact numbers.

    Parameters
    ----------
    losses, libraries, dtypes : sequences of str
        Which ones; all if empty. "numpy" is a library, too.
    hessian : bool
        Compare second derivatives, too.
    quick : bool
        Default settings only.
    tell : callable
        Called with the name of each instance when it is begun.

    Returns
    -------
    Parity
        The cells.

    Raises
    ------
    InputError
        For a name that does not exist.

    Notes
    -----
    NumPy in float64, and elementwise losses in float64 in all libraries, are compared with 150 digits (``exact``). The
    other cells are compared with NumPy in float64 at the same inputs, rounded to float32 beforehand where the cell is
    float32.
    """
    chosen = _among(libraries, (NUMPY, *LIBRARIES), "library")
    precisions = _among(dtypes, DTYPES, "dtype")
    orders = ORDERS if hessian else (VALUE, GRADIENT)
    cast, parity = _Cast(chosen), Parity()
    for instance in instances(losses, quick=quick):
        tell(instance.name)
        for dtype in precisions:
            comparison = _Comparison(instance, dtype, orders)
            for name in chosen:
                parity.cells.extend(comparison.cells(name, cast))
    parity.libraries = cast.told
    return parity


def _among(given: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    for name in given:
        if name not in known:
            raise InputError(f"--{what} {name!r} is not known; give one of {', '.join(known)}")
    return tuple(given or known)


class _Cast:
    """The libraries that take part, imported when they are first needed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.told = {name: LIBRARIES[name].missing() for name in names if name != NUMPY}
        if NUMPY in names:
            self.told = {NUMPY: np.__version__, **self.told}

    def why_not(self, name: str) -> str:
        """Say why a library is not there; empty if it is."""
        return LIBRARIES[name].missing()

    @functools.cache  # noqa: B019 - lives as long as one run
    def library(self, name: str) -> Library:
        """Import a library."""
        made = LIBRARIES[name]()
        self.told[name] = f"{made.version}, {made.note}" if made.note else made.version
        return made


@dataclass(frozen=True)
class _Comparison:
    """A loss in one precision."""

    instance: Instance
    dtype: str
    orders: tuple[str, ...]

    @functools.cached_property
    def rounded(self) -> Instance:
        """The instance with inputs in the precision, as float64."""
        y, f = self.instance.arrays(self.dtype)
        wide = y.astype(np.float64) if y.dtype.kind == "f" else y
        return Instance(self.instance.loss, wide, f.astype(np.float64), self.instance.targets)

    @functools.cached_property
    def vector(self) -> Host:
        """What Hessians are multiplied by: the diagonal is wanted of elementwise losses."""
        f = self.instance.f
        found = np.ones_like(f) if self.instance.elementwise else np.random.default_rng(5).normal(size=f.shape)
        return found.astype(self.dtype)

    @functools.cached_property
    def scales(self) -> dict[str, Host]:
        """What an elementwise loss's numbers are added up from, where they have a root nearby; else 0."""
        return terms(self.rounded, self.orders)

    @functools.cached_property
    def numpy(self) -> dict[str, Host]:
        """NumPy's numbers in float64."""
        return by_numpy(self.rounded, self.vector.astype(np.float64), self.orders)

    def cells(self, name: str, cast: _Cast) -> Iterator[Cell]:
        """Compare what one library computes."""
        if name == NUMPY:
            yield from self._numpys()
            return
        if why := cast.why_not(name):
            yield from (self._untold(name, order, why) for order in self.orders)
            return
        orders = tuple(order for order in self.orders if order in self.numpy)
        try:
            found = cast.library(name).compute(self.instance, self.dtype, self.vector, orders)
        except (TypeError, NotImplementedError, ImportError) as refusal:
            reason = str(refusal).partition("\n")[0]
            yield from (self._untold(name, order, reason) for order in self.orders)
            return
        yield from self._judged(name, found, self._right)

    @functools.cached_property
    def _exact(self) -> dict[str, Host] | NoReferenceError:
        """150 digits, or why there are none."""
        try:
            return reference(self.instance, self.vector, self.orders)
        except NoReferenceError as reason:
            return reason

    @property
    def _right(self) -> dict[str, Host]:
        """What other libraries are compared with; NumPy's own roundings must not count where the last places do."""
        counts = self.dtype == "float64" and self.instance.elementwise
        return self._exact if counts and not isinstance(self._exact, NoReferenceError) else self.numpy

    def _numpys(self) -> Iterator[Cell]:
        if self.dtype != "float64":
            single = Instance(self.instance.loss, *self.instance.arrays(self.dtype), self.instance.targets)
            yield from self._judged(NUMPY, by_numpy(single, self.vector, self.orders), self.numpy)
            return
        if isinstance(self._exact, NoReferenceError):
            yield from (self._untold(NUMPY, order, str(self._exact)) for order in self.orders)
        else:
            yield from self._judged(NUMPY, self._along_the_simplex, self._exact)

    @property
    def _along_the_simplex(self) -> dict[str, Host]:
        """NumPy's numbers; of a gradient by a distribution what changes that keep the sum see of it."""
        slope = self.numpy[GRADIENT]
        if not self.instance.on_simplex:
            return self.numpy
        return {**self.numpy, GRADIENT: slope - slope.mean(-1, keepdims=True)}

    def _judged(self, name: str, found: dict[str, Host], right: dict[str, Host]) -> Iterator[Cell]:
        for order in self.orders:
            if order not in self.numpy:
                yield self._untold(name, order, "NumPy has no Hessian of structured losses to compare with")
            else:
                yield self._measured(name, order, found[order], right[order])

    def _cell(self, name: str, order: str, state: str, **more: Any) -> Cell:
        instance = self.instance
        return Cell(instance.loss.name, instance.name, name, self.dtype, order, state, **more)

    def _untold(self, name: str, order: str, reason: str) -> Cell:
        return self._cell(name, order, UNTOLD, reason=reason)

    def _measured(self, name: str, order: str, got: Host, want: Host) -> Cell:
        exact = self.instance.elementwise
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        if got.shape != want.shape:
            return self._cell(name, order, FAILED, place=f"shape {got.shape} instead of {want.shape}")
        errors = in_ulps(got, want, self.dtype, self.scales[order]) if exact else relative(got, want)
        worst = np.unravel_index(int(np.argmax(errors)), errors.shape)
        bound = ULPS[order == HESSIAN] if exact else RELATIVE[self.dtype]
        error = float(errors[worst])
        state = PASSED if error <= bound else FAILED
        place = self._place(worst, got, want, exact) if error > 0.0 else ""
        return self._cell(
            name, order, state, error=error, bound=bound, unit="ulp" if exact else "relative", place=place
        )

    def _place(self, where: tuple[np.intp, ...], got: Host, want: Host, exact: bool) -> str:
        numbers = f"{got[where]:.9g} instead of {want[where]:.9g}"
        if exact:
            return f"{numbers} at y={self.rounded.y[where]:.9g}, f={self.rounded.f[where]:.9g}"
        return f"{numbers} at index {tuple(int(i) for i in where)}" if where else numbers
