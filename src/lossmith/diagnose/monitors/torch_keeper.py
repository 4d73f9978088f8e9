"""Keeping hold of the batch that a PyTorch model has just seen, at each step: a microsecond or two a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import torch

from .torch_gauge import first
from .torch_hook import spared

Tensor = Any
Module = Any

_KEPT_OUTPUT = 1 << 16


@final
@dataclass(slots=True)
class Batch:
    """What is needed to run a batch again.

    Attributes
    ----------
    args, kwargs : tuple, dict
        What the model was called with.
    autocast : tuple of (str, dtype), or None
        Mixed precision in force then.
    output_gradient : Tensor or None
        Gradient of the loss with respect to the model's output, where it was kept.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    autocast: tuple[str, Any] | None = None
    output_gradient: Tensor | None = None


@final
class Entry:
    """A hook that keeps what goes into the model in a pass with gradients.

    Parameters
    ----------
    device : str
        Where the model computes: "cpu" or "cuda".

    Attributes
    ----------
    aside : callable or None
        Told of each pass, with the module and whether it has gradients.
    output : Tensor or None
        From `Exit`, of the same pass.
    """

    __slots__ = ("_args", "_device", "_kwargs", "_mixed", "aside", "output")

    def __init__(self, device: str) -> None:
        self._device = device
        self.aside: Callable[[Module, bool], None] | None = None
        self._args: tuple[Any, ...] | None = None
        self._kwargs: dict[str, Any] = {}
        self._mixed, self.output = False, None

    def __call__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep a batch; PyTorch calls this."""
        learning = torch.is_grad_enabled()
        if self.aside is not None:
            self.aside(module, learning)
        if learning:
            self._args, self._kwargs, self.output = args, kwargs, None
            self._mixed = torch.is_autocast_enabled(self._device)

    def clear(self) -> None:
        """Let go of the batch."""
        self._args, self._kwargs, self.output = None, {}, None

    @property
    def batch(self) -> Batch | None:
        """The latest; None before the first."""
        if self._args is None:
            return None
        mixed = (self._device, torch.get_autocast_dtype(self._device)) if self._mixed else None
        return Batch(self._args, self._kwargs, mixed, None if self.output is None else self.output.grad)

    def __reduce__(self) -> tuple[Any, ...]:
        return spared()


@final
class Exit:
    """A hook that keeps the gradient that comes back to the model's output; dearer than all else beside a tiny model.

    Parameters
    ----------
    entry : Entry
        Where the batch is.
    """

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __call__(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        """Wait for the gradient; PyTorch calls this."""
        tensor = first(output)
        if tensor is not None and tensor.grad_fn is not None and tensor.numel() <= _KEPT_OUTPUT:
            tensor.retain_grad()
            self._entry.output = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return spared()
