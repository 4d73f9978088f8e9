"""What the variables of a training loop tell of a loss that is not finite: which of its terms, which row of the batch.

Targets and terms of the loss never go through the model, so nothing else can name them. They are looked for only when
a run is about to stop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, final

import torch

from .torch_search import finite, kind, row

Tensor = Any

_OTHERS = frozenset({"torch", "lossmith", "lightning", "pytorch_lightning", "lightning_utilities", "contextlib"})
_FRAMES = 4


@final
@dataclass(frozen=True, slots=True)
class Clue:
    """What a variable tells.

    Attributes
    ----------
    term : str
        The term of the loss that is not finite, or "loss".
    sample : int or None
        The row of the batch.
    detail : str
        Which variable, and what it holds.
    """

    term: str
    sample: int | None
    detail: str


def clue(rows: int | None) -> Clue | None:
    """Look through the variables of the functions that led here, those of frameworks left out.

    Parameters
    ----------
    rows : int or None
        Of the batch, where known: other tensors have other rows.

    Returns
    -------
    Clue or None
        Of the innermost function that tells something.
    """
    return next((found for frame in _frames() if (found := read(frame.f_locals, rows)) is not None), None)


def read(variables: Mapping[str, Any], rows: int | None) -> Clue | None:
    """Look through variables, in the order in which they came up.

    Parameters
    ----------
    variables : mapping of str to object
        By name.
    rows : int or None
        Of the batch, where known.

    Returns
    -------
    Clue or None
        None when all are finite.

    Examples
    --------
    >>> y = torch.tensor([1.0, torch.nan, 0.0])
    >>> read({"y": y}, 3)
    Clue(term='loss', sample=1, detail="'y' in the training loop holds 1 NaN of 3")
    """
    bad = [(name, t) for name, t in _tensors(variables) if not finite(t)]
    terms = [(name, t) for name, t in bad if t.numel() == 1 and t.grad_fn is not None]
    # The last is the whole loss.
    term = terms[0][0] if len(terms) > 1 else "loss"
    for name, tensor in bad:
        if tensor.ndim and tensor.shape[0] > 1 and rows in (None, tensor.shape[0]):
            sample = row(tensor)
            if sample is not None:
                return Clue(term, sample, f"'{name}' in the training loop {kind(tensor)}")
    return Clue(term, None, f"is {terms[0][1].item()}") if terms else None


def _tensors(variables: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in list(variables.items()):
        if isinstance(value, (list, tuple)):
            held = [(f"{name}[{i}]", v) for i, v in enumerate(value[:16])]
        elif isinstance(value, dict):
            held = [(f"{name}[{k!r}]", v) for k, v in list(value.items())[:16]]
        else:
            held = [(name, value)]
        for called, each in held:
            plain = isinstance(each, torch.Tensor) and not isinstance(each, torch.nn.Parameter)
            if plain and each.is_floating_point() and each.numel():
                yield called, each


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    left = _FRAMES
    while frame is not None and left:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _OTHERS:
            left -= 1
            yield frame
        frame = frame.f_back
