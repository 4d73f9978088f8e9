"""Norms of parameters that come as arrays, and of how far they moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from ..record import Layer

Array = np.ndarray[Any, Any]
Named = Mapping[str, Sequence[Any]]


def norm(arrays: Sequence[Any]) -> float:
    """Return the Euclidean norm over several arrays.

    Parameters
    ----------
    arrays : sequence of array-like
        Any shapes.

    Returns
    -------
    float
        In float64.

    Examples
    --------
    >>> norm([np.array([3.0]), np.array([[4.0]])])
    5.0
    """
    return math.sqrt(sum(float(np.sum(np.square(np.asarray(a, dtype=np.float64)))) for a in arrays))


@final
class ArrayGauge:
    """Remembers parameters between two looks, to tell how far they moved.

    Examples
    --------
    >>> gauge = ArrayGauge()
    >>> gauge.look({"a": [np.array([3.0, 4.0])]})[0]["a"].parameter_norm
    5.0
    >>> gauge.look({"a": [np.array([3.0, 5.0])]})[2]
    1.0
    """

    def __init__(self) -> None:
        self._before: dict[str, list[Array]] = {}

    @property
    def held(self) -> Mapping[str, Sequence[Array]]:
        """The parameters as last remembered."""
        return self._before

    def remember(self, named: Named) -> None:
        """Keep a copy of the parameters as they are.

        Parameters
        ----------
        named : mapping of str to sequence of arrays
            Parameters of each layer.
        """
        self._before = {name: [np.array(a, dtype=np.float64) for a in held] for name, held in named.items()}

    def look(self, named: Named) -> tuple[dict[str, Layer], float, float | None]:
        """Measure the parameters.

        Parameters
        ----------
        named : mapping of str to sequence of arrays
            Parameters of each layer, in forward order.

        Returns
        -------
        layers : dict of str to Layer
            With norms of parameters and, from the second look on, of updates.
        parameter_norm : float
            Over all.
        update_norm : float or None
            Since the last look; None at the first.
        """
        layers: dict[str, Layer] = {}
        for name, held in named.items():
            old = self._before.get(name)
            now = [np.asarray(a, dtype=np.float64) for a in held]
            same = old is not None and [a.shape for a in old] == [a.shape for a in now]
            moved = norm([a - b for a, b in zip(now, old, strict=True)]) if same and old is not None else None
            layers[name] = Layer(parameter_norm=norm(now), update_norm=moved)
        self.remember(named)
        size = math.hypot(*(layer.parameter_norm or 0.0 for layer in layers.values()))
        moves = [layer.update_norm for layer in layers.values() if layer.update_norm is not None]
        return layers, size, math.hypot(*moves) if moves else None


def first_bad(named: Named) -> str | None:
    """Return the first layer with a parameter that is not finite.

    Parameters
    ----------
    named : mapping of str to sequence of arrays
        In forward order.

    Returns
    -------
    str or None
        None if all are finite.
    """
    return next((n for n, held in named.items() if not all(np.isfinite(np.asarray(a)).all() for a in held)), None)
