"""pytorch-metric-learning: losses of embeddings, forward and backward in torch."""

from __future__ import annotations

from typing import Any

from ..families import VALUE, Work
from .contender import Contender, outcome

_MOST_BYTES = 4e9


def contenders(work: Work) -> list[Contender]:
    """Return the losses of pytorch-metric-learning that compute the same.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    if work.name == "triplet":
        return [_contender(work, "", _triplet())]
    if work.name == "nt_xent":
        return [
            _contender(work, "NTXentLoss", _pairs(work), refusal=_refusal(work)),
            _contender(work, "SupConLoss", _matrix(work), note="the same number where each class has two members"),
        ]
    return []


def _triplet() -> Any:
    from pytorch_metric_learning import distances, losses, reducers

    metric = distances.LpDistance(normalize_embeddings=False, p=2, power=1)
    return losses.TripletMarginLoss(margin=0.2, distance=metric, reducer=reducers.MeanReducer())


def _pairs(work: Work) -> Any:
    from pytorch_metric_learning import losses

    return losses.NTXentLoss(temperature=work.family.settings["temperature"])


def _matrix(work: Work) -> Any:
    from pytorch_metric_learning import losses

    return losses.SupConLoss(temperature=work.family.settings["temperature"])


def _refusal(work: Work) -> str:
    """Say what NTXentLoss would need: a table of every positive pair against every negative pair."""
    n = work.shape[0]
    needed = 5.0 * n * n * (n - 2) * work.f.itemsize
    return f"its table of pairs against pairs would need about {needed / 1e9:,.0f} GB" if needed > _MOST_BYTES else ""


def _contender(work: Work, variant: str, loss: Any, note: str = "", refusal: str = "") -> Contender:
    import torch

    y = torch.from_numpy(work.y)
    f = torch.from_numpy(work.f).requires_grad_()

    def value() -> Any:
        with torch.no_grad():
            return (loss(f, y),)

    def both() -> Any:
        f.grad = None
        result = loss(f, y)
        result.backward()
        return result, f.grad

    return Contender(
        "pytorch-metric-learning",
        variant,
        value if work.operation == VALUE else both,
        lambda result: outcome(*(part.detach().numpy() for part in result)),
        note,
        refusal,
    )
