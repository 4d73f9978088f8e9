"""The catalogue: one file a family, nothing in it but mathematics."""

from __future__ import annotations

from .binary import BinaryCrossEntropy
from .quantile import Quantile
from .robust import Huber, LogCosh, Tukey
from .squared import MeanAbsoluteError, MeanSquaredError

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Quantile",
    "Tukey",
]
