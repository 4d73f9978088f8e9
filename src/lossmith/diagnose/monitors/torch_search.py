"""Finding where the first number that is not finite came up in a PyTorch model, by running the batch once more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from .torch_gauge import first, owners
from .torch_keeper import Batch
from .trouble import NonFinite

Tensor = Any
Module = Any


def search(model: Module, batch: Batch | None, step: int) -> NonFinite | None:
    """Look through input, parameters and activations, in the order in which numbers flow.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it was: buffers and random numbers are put back.
    batch : Batch or None
        The batch in question.
    step : int
        The step in question.

    Returns
    -------
    NonFinite or None
        None when all of them are finite.
    """
    if batch is not None:
        for place, value in (*enumerate(batch.args), *batch.kwargs.items()):
            tensor = first(value)
            if tensor is not None and not finite(tensor):
                where = f"argument {place} of the model" if batch.run is None else f"part {place} of the batch"
                return NonFinite(step, "input", None, row(tensor), f"{where} {kind(tensor)}")
    for name, own in owners(model).items():
        for parameter in own:
            if not finite(parameter):
                called = next(n for n, p in model.named_parameters() if p is parameter)
                return NonFinite(step, "parameter", name, None, f"{called} {kind(parameter)}")
    return None if batch is None else _activation(model, batch, step)


def search_before(model: Module, batch: Batch | None, found: NonFinite, back: int) -> NonFinite | None:
    """Look for what an update has made a parameter of that is not finite.

    Parameters
    ----------
    model : torch.nn.Module
        As it is after that update.
    batch : Batch or None
        That the update may be made of.
    found : NonFinite
        The parameter.
    back : int
        How many steps ago that was.

    Returns
    -------
    NonFinite or None
        What comes up on the way to that layer.
    """
    earlier = None if batch is None else _activation(model, batch, found.step - back, found.layer)
    if earlier is None:
        return None
    detail = f"{earlier.detail}; after the update {found.detail}"
    return NonFinite(earlier.step, earlier.term, earlier.layer, earlier.sample, detail)


def blame_gradient(model: Module, batch: Batch | None, step: int) -> NonFinite:
    """Say where a gradient went wrong when everything on the way forward is finite.

    Parameters
    ----------
    model : torch.nn.Module
        With the gradients in question.
    batch : Batch or None
        With the gradient that entered at the output, if it was small enough to keep.
    step : int
        The step in question.

    Returns
    -------
    NonFinite
        "loss" when what the loss handed to the model was not finite already, else the layer nearest to the output
        whose gradient is not: it came up there first, on the way back.
    """
    entered = None if batch is None else batch.output_gradient
    if entered is not None and not finite(entered):
        return NonFinite(step, "loss", None, row(entered), f"its gradient at the model's output {kind(entered)}")
    for name, own in reversed(owners(model).items()):
        for parameter in own:
            if parameter.grad is not None and not finite(parameter.grad):
                return NonFinite(step, "gradient", name, None, f"the layer's gradient {kind(parameter.grad)}")
    return NonFinite(step, "gradient", None, None, "the gradient's norm is not finite")


def _activation(model: Module, batch: Batch, step: int, last: str | None = None) -> NonFinite | None:
    """Return the first activation that is not finite, not looking beyond the input of the layer ``last``."""
    found: list[NonFinite | None] = []

    def before(name: str) -> Any:
        def look(module: Module, args: tuple[Any, ...]) -> None:
            tensor = first(args)
            if not found and tensor is not None and not finite(tensor):
                found.append(NonFinite(step, "activation", name, row(tensor), f"the layer's input {kind(tensor)}"))

        return look

    def after(name: str) -> Any:
        def look(module: Module, args: tuple[Any, ...], output: Any) -> None:
            tensor = first(output)
            if name == last:
                found.append(None)
            if not found and tensor is not None and not finite(tensor):
                found.append(NonFinite(step, "activation", name, row(tensor), f"the layer's output {kind(tensor)}"))

        return look

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(before(name or type(model).__name__)))
        hooks.append(module.register_forward_hook(after(name or type(model).__name__)))
    try:
        with _untouched(model), _precision(batch.autocast), torch.no_grad():
            if batch.run is None:
                model(*batch.args, **batch.kwargs)
            else:
                found.extend(_terms(batch.run() or {}, step))
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _terms(told: Mapping[str, Any], step: int) -> list[NonFinite]:
    """Return the parts of a loss that are not finite, in the order in which they came up."""
    scalars = [(name, value) for name, value in told.items() if isinstance(value, torch.Tensor) and value.numel() == 1]
    return [NonFinite(step, name, None, None, f"is {value.item()}") for name, value in scalars if not finite(value)]


@contextlib.contextmanager
def _untouched(model: Module) -> Iterator[None]:
    held = [b.detach().clone() for b in model.buffers()]
    with torch.random.fork_rng():
        yield
    with torch.no_grad():
        for buffer, value in zip(model.buffers(), held, strict=True):
            buffer.copy_(value)


def _precision(autocast: tuple[str, Any] | None) -> contextlib.AbstractContextManager[Any]:
    if autocast is None:
        return contextlib.nullcontext()
    device, dtype = autocast
    manager: contextlib.AbstractContextManager[Any] = torch.autocast(device, dtype=dtype)
    return manager


def finite(tensor: Tensor) -> bool:
    """Tell whether all of a tensor is finite.

    Parameters
    ----------
    tensor : Tensor
        Any shape.

    Returns
    -------
    bool
        True for an empty one.
    """
    dense = tensor.detach()
    dense = dense.coalesce().values() if dense.is_sparse else dense
    return bool(torch.isfinite(dense).all())


def row(tensor: Tensor) -> int | None:
    """Return the first sample that is not finite.

    Parameters
    ----------
    tensor : Tensor
        Samples along the first axis.

    Returns
    -------
    int or None
        None for a single number, and where all rows are bad: then no sample is to blame.
    """
    if tensor.ndim == 0:
        return None
    bad = ~torch.isfinite(tensor.detach()).reshape(tensor.shape[0], -1).all(1)
    return None if len(bad) > 1 and bool(bad.all()) else int(bad.nonzero()[0])


def kind(tensor: Tensor) -> str:
    """Say what is in a tensor that should not be.

    Parameters
    ----------
    tensor : Tensor
        Not finite somewhere.

    Returns
    -------
    str
        "holds 3 NaN of 10" or "holds 3 inf of 10".
    """
    data = tensor.detach()
    data = data.coalesce().values() if data.is_sparse else data
    nans, infs = int(torch.isnan(data).sum()), int(torch.isinf(data).sum())
    parts = [f"{count} {word}" for count, word in ((nans, "NaN"), (infs, "inf")) if count]
    return f"holds {' and '.join(parts)} of {data.numel()}"
