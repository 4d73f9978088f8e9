"""The catalogue: one file a family, nothing in it but mathematics."""

from __future__ import annotations

from .binary import BinaryCrossEntropy
from .compose import MultiTask, WeightedSum
from .counts import GammaNLL, PoissonNLL, Tweedie
from .divergence import KLDivergence
from .embedding import Contrastive, InfoNCE, NTXent, Triplet
from .imbalance import BinaryFocal
from .likelihood import GaussianNLL, NegativeLogLikelihood
from .margin import Hinge, MultiMargin, SquaredHinge
from .multiclass import CategoricalCrossEntropy, CategoricalFocal
from .quantile import Quantile
from .robust import Huber, LogCosh, PseudoHuber, Tukey
from .segmentation import Dice
from .sequence import CTC
from .squared import MeanAbsoluteError, MeanSquaredError

__all__ = [
    "CTC",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "CategoricalCrossEntropy",
    "CategoricalFocal",
    "Contrastive",
    "Dice",
    "GammaNLL",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "InfoNCE",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiMargin",
    "MultiTask",
    "NTXent",
    "NegativeLogLikelihood",
    "PoissonNLL",
    "PseudoHuber",
    "Quantile",
    "SquaredHinge",
    "Triplet",
    "Tukey",
    "Tweedie",
    "WeightedSum",
]
