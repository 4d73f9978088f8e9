"""Gradients of custom objectives of boosters: looked at before a tree is grown on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, final

import numpy as np

from .trouble import NonFinite

_NAMES = ("gradient", "hessian")


def checked(objective: Any, told: Callable[[NonFinite], None], number: int) -> Any:
    """Look at what a custom objective returns.

    Parameters
    ----------
    objective : callable
        Returns gradient and Hessian, with rows along the first axis, or class after class.
    told : callable
        Told what is not finite.
    number : int
        The round.

    Returns
    -------
    callable
        The same objective, looked at.
    """

    def look(predictions: Any, *rest: Any) -> Any:
        found = objective(predictions, *rest)
        for name, values in zip(_NAMES, found, strict=False):
            # A sum is several times as quick as a look at each, and one that overflows is looked at again.
            array = np.asarray(values)
            with np.errstate(all="ignore"):
                whole = array.sum()
            if np.isfinite(whole) or np.isfinite(array).all():
                continue
            told(_named(name, array, np.asarray(predictions), number))
        return found

    return look


def _named(name: str, array: Any, predictions: Any, number: int) -> NonFinite:
    rows = len(predictions)
    # Some hand over the rows of one class after those of another, in one dimension.
    bad = ~np.isfinite(array)
    lines = bad.reshape(len(array), -1).any(1) if array.ndim > 1 else bad
    row = int(np.flatnonzero(lines)[0]) % rows
    nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    held = " and ".join(f"{count} {word}" for count, word in ((nans, "NaN"), (infs, "inf")) if count)
    score = predictions[row] if predictions.ndim == 1 or predictions.shape[-1] == 1 else None
    at = "" if score is None else f"; the row's score was {float(np.ravel(score)[0]):.4g}"
    sample = None if lines.all() and rows > 1 else row
    return NonFinite(number, name, None, sample, f"the objective's {name} holds {held} of {array.size}{at}")


@final
class Watched:
    """Stands in for a booster's ``update`` at its next call, and looks at what a custom objective gives it.

    Parameters
    ----------
    booster : object
        With a method ``update(..., fobj=...)``.
    told : callable
        Told what is not finite.
    number : int
        The round that comes.
    """

    def __init__(self, booster: Any, told: Callable[[NonFinite], None], number: int) -> None:
        self._booster, self._told, self._number, self._own = booster, told, number, booster.update
        booster.update = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Grow a tree; the training calls this, once."""
        self.remove()
        held = [checked(a, self._told, self._number) if callable(a) else a for a in args]
        named = {
            k: checked(v, self._told, self._number) if k == "fobj" and v is not None else v for k, v in kwargs.items()
        }
        return self._own(*held, **named)

    def remove(self) -> None:
        """Put back what was there; a second call does nothing."""
        if vars(self._booster).get("update") is self:
            del self._booster.update

    def __reduce__(self) -> tuple[Any, ...]:
        """A booster whose training ended early is saved as if this were not there."""
        return functools.partial, (type(self._booster).update, self._booster)
