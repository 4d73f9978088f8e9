"""PyTorch, eager or compiled: its losses, or the expression a user writes where it has none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..families import HESSIAN, LINEAR, Work
from . import torch_calls
from .contender import Contender

# (y, f, settings) -> the mean. Those that torch does not have are marked in _WRITTEN.
Mean = Callable[..., Any]
_WRITTEN = (
    "log_cosh", "focal", "quantile", "tukey", "hinge", "squared_hinge", "categorical_focal", "dice", "contrastive",
    "info_nce",
)  # fmt: skip
_NO_SECOND = ("quantile", "mae", "hinge")  # autograd drops the derivative of a constant slope


def contenders(work: Work, compiled: bool = False) -> list[Contender]:
    """Return torch's loss, or the expression a user writes where torch has none.

    Parameters
    ----------
    work : Work
        What is to be done.
    compiled : bool
        Through ``torch.compile``.
    """
    form = _forms().get(work.name)
    if form is None or (work.operation == HESSIAN and (work.name in _NO_SECOND or compiled)):
        return []
    import torch

    mean = functools.partial(form, **work.family.settings)
    note = "written by hand: torch has no such loss" if work.name in _WRITTEN else ""
    note = "two steps: logits, then their loss" if work.family.tier == LINEAR else note
    if compiled:
        return [torch_calls.contender(work, "torch.compile", torch.compile(mean, fullgraph=True), note)]
    return [torch_calls.contender(work, "torch", mean, note)]


def _forms() -> dict[str, Mean]:
    import torch
    from torch.nn import functional as F

    return _built_in(F) | _of_numbers(torch, F) | _of_structures(torch, F)


def _built_in(F: Any) -> dict[str, Mean]:
    """Losses that torch has, in our order of arguments."""
    return {
        "multi_margin": lambda y, f: F.multi_margin_loss(f, y),
        "bce": lambda y, f: F.binary_cross_entropy_with_logits(f, y),
        "huber": lambda y, f, delta: F.huber_loss(f, y, delta=delta),
        "poisson_nll": lambda y, f: F.poisson_nll_loss(f, y, log_input=True),
        "mse": lambda y, f: F.mse_loss(f, y),
        "mae": lambda y, f: F.l1_loss(f, y),
        "cce": lambda y, f: F.cross_entropy(f, y),
        "kl_divergence": lambda y, f: F.kl_div(F.log_softmax(f, dim=1), y, reduction="batchmean"),
        "gaussian_nll": lambda y, f: F.gaussian_nll_loss(f[:, 0], y, f[:, 1].exp(), full=True),
        "linear_cross_entropy": lambda y, x, w: F.cross_entropy(x @ w.T, y),
    }


def _of_numbers(torch: Any, F: Any) -> dict[str, Mean]:
    """What a user writes for losses of single numbers and of rows."""

    def focal(y: Any, f: Any, gamma: float) -> Any:
        p = torch.sigmoid(f)
        ce = F.binary_cross_entropy_with_logits(f, y, reduction="none")
        return ((1.0 - (p * y + (1.0 - p) * (1.0 - y))) ** gamma * ce).mean()

    def log_cosh(y: Any, f: Any) -> Any:
        r = f - y
        return (r + F.softplus(-2.0 * r) - 0.6931471805599453).mean()

    def quantile(y: Any, f: Any, q: float) -> Any:
        e = y - f
        return torch.maximum(q * e, (q - 1.0) * e).mean()

    def tukey(y: Any, f: Any, c: float) -> Any:
        u = ((f - y) / c).clamp(-1.0, 1.0) ** 2
        return (c * c / 6.0 * (1.0 - (1.0 - u) ** 3)).mean()

    def softmax_focal(y: Any, f: Any, gamma: float) -> Any:
        ce = F.cross_entropy(f, y, reduction="none")
        return ((1.0 - torch.exp(-ce)) ** gamma * ce).mean()

    return {
        "focal": focal,
        "log_cosh": log_cosh,
        "quantile": quantile,
        "tukey": tukey,
        "hinge": lambda y, f: (1.0 - y * f).clamp(min=0.0).mean(),
        "squared_hinge": lambda y, f: ((1.0 - y * f).clamp(min=0.0) ** 2).mean(),
        "categorical_focal": softmax_focal,
    }


def _of_structures(torch: Any, F: Any) -> dict[str, Mean]:
    """What a user writes for masks, sequences and embeddings."""

    def dice(y: Any, f: Any, inputs: str, smooth: float) -> Any:
        p = torch.sigmoid(f)
        both, size = (y * p).sum(dim=(1, 2)), (y + p).sum(dim=(1, 2))
        return (1.0 - (2.0 * both + smooth) / (size + smooth)).mean()

    def ctc(y: Any, f: Any) -> Any:
        frames, count = f.shape[:2]
        inputs, labels = torch.full((count,), frames), torch.full((count,), y.shape[1])
        return F.ctc_loss(f.log_softmax(2), y, inputs, labels, reduction="none").mean()

    def contrastive(y: Any, f: Any, margin: float) -> Any:
        d = F.pdist(f)
        first, second = torch.triu_indices(len(y), len(y), 1)
        return torch.where(y[first] == y[second], d**2, (margin - d).clamp(min=0.0) ** 2).mean()

    def info_nce(y: Any, f: Any, temperature: float) -> Any:
        queries, keys = (F.normalize(half) for half in f.chunk(2))
        return F.cross_entropy(queries @ keys.T / temperature, torch.arange(len(queries)))

    return {"dice": dice, "ctc": ctc, "contrastive": contrastive, "info_nce": info_nce}
