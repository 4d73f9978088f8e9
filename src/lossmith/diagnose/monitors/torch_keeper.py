"""Keeping hold of the batch that a PyTorch model has just seen, at each step: a microsecond or two a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    run : callable or None
        Runs the batch again where it is not the model that is called, and returns the parts of the loss by name;
        ``kwargs`` are the batch's parts then.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    autocast: tuple[str, Any] | None = None
    output_gradient: Tensor | None = None
    run: Callable[[], Any] | None = None


class Attached(Protocol):
    """What can be taken off a model."""

    def remove(self) -> None:
        """Take it off."""


@final
class Way:
    """Stands in for a model's ``forward``, and keeps what goes through.

    With any hook at all PyTorch takes a way through a module that is 3 microseconds longer, as much as all the rest of
    watching a step. Copies and saved models have their own ``forward`` again.

    Parameters
    ----------
    model : torch.nn.Module
        Whose.
    entry : Entry
        Where batches are kept.
    """

    __slots__ = ("__wrapped__", "_closed", "_entry", "_model", "_own")

    def __init__(self, model: Module, entry: Entry) -> None:
        self._model, self._entry, self._own = model, entry, vars(model).get("forward")
        self._closed = False
        self.__wrapped__ = model.forward
        model.forward = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Pass a batch on."""
        entry = self._entry
        if entry.aside is not None or entry.args is None:
            if not self._closed:
                entry(self._model, args, kwargs)
        elif torch.is_grad_enabled():
            # A run keeps to one precision: it is asked for at the first pass and at each look.
            entry.args, entry.kwargs = args, kwargs
        return self.__wrapped__(*args, **kwargs)

    def remove(self) -> None:
        """Put back what was there, unless someone else stands in for it by now."""
        self._closed = True
        if vars(self._model).get("forward") is not self:
            return
        if self._own is None:
            del self._model.forward
        else:
            self._model.forward = self._own

    def __reduce__(self) -> tuple[Any, ...]:
        if self._own is None:
            return getattr, (self._model, "forward")
        return _itself, (self._own,)


def _itself(way: Any) -> Any:
    return way


@final
class Entry:
    """A hook that keeps what goes into the model in a pass with gradients.

    Parameters
    ----------
    device : str
        Where the model computes: "cpu" or "cuda".

    Attributes
    ----------
    args, kwargs : tuple or None, dict
        What went in last; None before the first.
    aside : callable or None
        Told of each pass, with the module and whether it has gradients.
    compiled : bool
        Whether a compiler has read the model with this in it.
    output : Tensor or None
        From `Exit`, of the same pass.
    whole : Batch or None
        Told by a loop that does not call the model itself; it stands before what went into the model.
    """

    __slots__ = ("_before", "_device", "_latest", "_mixed", "args", "aside", "compiled", "kwargs", "output", "whole")

    def __init__(self, device: str) -> None:
        self._device = device
        self.aside: Callable[[Module, bool], None] | None = None
        self.args: tuple[Any, ...] | None = None
        self.kwargs: dict[str, Any] = {}
        self._mixed, self.compiled, self.output = False, False, None
        self.whole: Batch | None = None
        self._before: tuple[Any, Any, Batch | None] | None = None
        self._latest: tuple[Any, Any, Batch | None] | None = None

    def __call__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep a batch; PyTorch calls this."""
        learning = torch.is_grad_enabled()
        if torch.compiler.is_compiling():
            self.compiled = True
        elif self.aside is not None:
            self.aside(module, learning)
        if learning:
            self.args, self.kwargs, self.output = args, kwargs, None
            self._mixed = torch.is_autocast_enabled(self._device)

    def attach(self, model: Module) -> Attached:
        """See what goes into a model from now on.

        Parameters
        ----------
        model : torch.nn.Module
            The model that is trained.

        Returns
        -------
        Attached
            To take off again.
        """
        # On an accelerator microseconds are hidden, and copies for several devices take `forward` along as it is.
        if self._device == "cpu" and not isinstance(model, torch.jit.ScriptModule):
            return Way(model, self)
        attached: Attached = model.register_forward_pre_hook(self, with_kwargs=True)
        return attached

    def turn(self) -> None:
        """Be told that an update begins."""
        self._before, self._latest = self._latest, (self.args, self.kwargs, self.whole)

    def clear(self) -> None:
        """Let go of the batches."""
        self._before = self._latest = None
        self.args, self.kwargs, self.output, self.whole = None, {}, None, None

    @property
    def batch(self) -> Batch | None:
        """The latest; None before the first."""
        gradient = None if self.output is None else self.output.grad
        if self.whole is not None:
            return replace(self.whole, autocast=self._precision(), output_gradient=gradient)
        return None if self.args is None else Batch(self.args, self.kwargs, self._precision(), gradient)

    @property
    def before(self) -> Batch | None:
        """The one that the last update but one was made of; None where there is none."""
        args, kwargs, whole = self._before or (None, {}, None)
        if whole is not None:
            return replace(whole, autocast=self._precision())
        return None if args is None else Batch(args, kwargs, self._precision())

    def _precision(self) -> tuple[str, Any] | None:
        return (self._device, torch.get_autocast_dtype(self._device)) if self._mixed else None

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
        if torch.compiler.is_compiling():
            return
        tensor = first(output)
        if tensor is not None and tensor.grad_fn is not None and tensor.numel() <= _KEPT_OUTPUT:
            tensor.retain_grad()
            self._entry.output = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return spared()
