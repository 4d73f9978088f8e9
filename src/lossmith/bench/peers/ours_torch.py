"""Lossmith in torch: the same kernels under ``to_torch``, with forward and backward of the mean."""

from __future__ import annotations

from typing import Any

from ..families import LINEAR, Work
from ..record import OURS_IN_TORCH
from . import torch_calls
from .contender import Contender


def contenders(work: Work) -> list[Contender]:
    """Return our loss as a module of torch.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    if work.family.tier == LINEAR:
        from ...frameworks.torch_linear import linear_cross_entropy

        mean: Any = lambda y, x, w: linear_cross_entropy(x, w, y)  # noqa: E731
    else:
        from ...frameworks.torch import to_torch

        module = to_torch(work.family.loss())
        mean = lambda y, f: module(f, y)  # noqa: E731
    return [torch_calls.contender(work, OURS_IN_TORCH, mean)]
