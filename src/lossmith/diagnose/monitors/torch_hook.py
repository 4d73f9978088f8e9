"""Hooks that a model can be copied and saved with, and that know what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, final

import torch

_CLOCK = time.thread_time


def deaf(*args: Any, **kwargs: Any) -> None:
    """Do nothing: what is left of a hook in a copy of the model."""


def spared() -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
    """Tell how a hook is copied and saved, as of ``__reduce__``: as one that does nothing."""
    return _deaf, ()


def _deaf() -> Callable[..., None]:
    return deaf


@final
class Meter:
    """Adds up the time spent in hooks.

    Attributes
    ----------
    seconds : float
        Since the last `take`.
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def take(self) -> float:
        """Return the time, and start from nothing."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


@final
class Hook:
    """Calls a function when a model does something.

    Copies (``copy.deepcopy`` for averaged weights) and saved models (``torch.save``) must not carry the monitor along:
    there, this becomes a function that does nothing.

    Parameters
    ----------
    function : callable
        What to call.
    meter : Meter
        Told how long it took.
    """

    __slots__ = ("_function", "_meter")

    def __init__(self, function: Callable[..., None], meter: Meter) -> None:
        self._function, self._meter = function, meter

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Call the function; a compiled model is left as it is."""
        if torch.compiler.is_compiling():
            return
        begun = _CLOCK()
        self._function(*args, **kwargs)
        self._meter.seconds += _CLOCK() - begun

    def __reduce__(self) -> tuple[Any, ...]:
        return spared()
