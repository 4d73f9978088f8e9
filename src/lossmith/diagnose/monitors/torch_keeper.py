"""Keeping hold of the batch that a PyTorch model has just seen, at each step: a microsecond or two a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, final

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


class Attached(Protocol):
    """What can be taken off a model."""

    def remove(self) -> None:
        """Take it off."""


@final
class Place:
    """The place of a compiled call, taken.

    Parameters
    ----------
    model : torch.nn.Module
        Whose.
    call : callable
        What stands there.
    """

    def __init__(self, model: Module, call: Callable[..., Any]) -> None:
        self._model, self._call = model, call
        model._compiled_call_impl = call

    def remove(self) -> None:
        """Leave it, unless the model was compiled since."""
        if vars(self._model).get("_compiled_call_impl") is self._call:
            del self._model._compiled_call_impl


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

    __slots__ = ("_args", "_call", "_device", "_kwargs", "_mixed", "aside", "output")

    def __init__(self, device: str) -> None:
        self._device = device
        self._call: Any = None
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

    def through(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a batch and pass it on; the model calls this in place of what `attach` found."""
        learning = torch.is_grad_enabled()
        if learning:
            if self._args is None or self.aside is not None:
                # A run keeps to one precision: it is asked for at the first pass and at each look.
                self._mixed = torch.is_autocast_enabled(self._device)
            self._args, self._kwargs, self.output = args, kwargs, None
        if self.aside is not None:
            self.aside(self._call.__self__, learning)
        return self._call(*args, **kwargs)

    def attach(self, model: Module) -> Attached:
        """See what goes into a model from now on.

        On a processor, where steps may be short, this takes the place that ``model.compile()`` has for a compiled
        call, if it is free: with any hook at all PyTorch takes a way through a module that is 4 microseconds longer.
        Copies and saved models do not carry what stands there.

        Parameters
        ----------
        model : torch.nn.Module
            The model that is trained.

        Returns
        -------
        Attached
            To take off again.
        """
        kind = type(model)
        ways = vars(torch.nn.Module)
        usual = kind.__call__ is ways["__call__"] and kind.__getstate__ is ways.get("__getstate__")
        if (
            self._device == "cpu"
            and usual
            and ways.get("_compiled_call_impl", self) is None
            and model._compiled_call_impl is None
            and not isinstance(model, torch.jit.ScriptModule)
        ):
            self._call = model._call_impl
            return Place(model, self.through)
        attached: Attached = model.register_forward_pre_hook(self, with_kwargs=True)
        return attached

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
