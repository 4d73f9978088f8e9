"""Structured losses as one operation of torch: computed on the host by NumPy, on tensors of any device.

As a registered operation it has shapes that compilers know, so it breaks no graph and can be exported. Its
second output is the gradient, so the backward pass is a product; that output is differentiated by the loss's formula in
torch's operations, which backward passes of compiled programs cannot do. Imported only where torch has been imported.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from . import registry

Array = Any
Tensor = Any
_TWICE = "structured losses have no third derivative; differentiate twice at most"


def reduced(loss: Any, parts: Sequence[Any], f: Tensor, weight: Any, reduction: str) -> Tensor:
    """Compute a structured loss with its gradient attached.

    Parameters
    ----------
    loss : StructuredLoss
        A registered loss.
    parts : sequence of tensors or NumPy arrays
        Its targets, taken apart.
    f : tensor
        Predictions, of any device and floating dtype.
    weight : tensor or NumPy array, optional
        One number for each sample.
    reduction : str
        "mean", "sum" or "none".

    Returns
    -------
    tensor
        In f's dtype and on its device.

    Raises
    ------
    ValueError
        When gradients of values that share predictions are asked for one by one.
    """
    wanted = f.requires_grad and torch.is_grad_enabled()
    if reduction == "none" and not loss.separate and wanted:
        raise ValueError(
            f"{type(loss).__name__}: its values share predictions, so reduction='none' has no gradient to attach; "
            "give 'mean' or 'sum' (with sample_weight), or detach y_pred if only the values are wanted"
        )
    others = [*parts] if weight is None else [*parts, weight]
    # Clones, since a compiler refuses the same tensor twice, such as the empty array for lengths not given.
    tensors = [x if isinstance(x, torch.Tensor) else torch.as_tensor(x).clone() for x in others]
    settings = (_configuration(loss), weight is not None, reduction, wanted)
    # Not through the function when compiling without a gradient: the compiler then miscounts its arguments.
    compiling = torch.compiler.is_compiling()
    attached = _Structured if compiling else _BothWays
    direct = compiling and not wanted
    value: Tensor = (_computed(f, tensors, *settings) if direct else attached.apply(f, *settings, *tensors))[0]
    return value


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _configuration(loss: Any) -> str:
    return json.dumps(loss.to_config())


def _loss(configuration: str) -> Any:
    return _made(configuration, registry.loss_class(json.loads(configuration)["loss"]))


@functools.cache
def _made(configuration: str, kind: type) -> Any:
    """Make a loss again when its name stands for another class, as when a notebook's cell is run twice."""
    return registry.from_config(json.loads(configuration))


def _numbers(x: Tensor) -> Array:
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


@torch.library.custom_op("lossmith::structured", mutates_args=())  # type: ignore[untyped-decorator]
def _computed(
    f: torch.Tensor, others: list[torch.Tensor], configuration: str, weighted: bool, reduction: str, wanted: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return value and gradient; the latter empty if it is not wanted."""
    arrays = [_numbers(x) for x in (f, *others)]
    found = _loss(configuration)._compute(*arrays, weighted=weighted, reduction=reduction, gradient=wanted)
    value, *slope = (torch.from_numpy(np.asarray(x, order="C")).to(f.device, f.dtype) for x in found)
    return value, slope[0] if wanted else f.new_empty(0)


@_computed.register_fake  # type: ignore[untyped-decorator]
def _shapes(f: Tensor, others: list[Tensor], configuration: str, weighted: bool, reduction: str, wanted: bool) -> Any:
    parts = others[:-1] if weighted else others
    count = [_loss(configuration)._count(parts, f)] if reduction == "none" else []
    slope = torch.empty_like(f, memory_format=torch.contiguous_format) if wanted else f.new_empty(0)
    return f.new_empty(count), slope


@_computed.register_vmap  # type: ignore[untyped-decorator]
def _each(info: Any, places: Any, f: Tensor, others: list[Tensor], *settings: Any) -> Any:
    """Compute one batch after the other."""

    def part(x: Tensor, place: int | None, i: int) -> Tensor:
        return x if place is None else x.select(place, i)

    results = [
        _computed(
            part(f, places[0], i),
            [part(x, place, i) for x, place in zip(others, places[1], strict=True)],
            *settings,
        )
        for i in range(info.batch_size)
    ]
    return tuple(torch.stack(each) for each in zip(*results, strict=True)), (0, 0)


def _formula(settings: Sequence[Any], others: Sequence[Tensor]) -> Any:
    """Return the value as a function of predictions, in operations of torch."""
    configuration, weighted, reduction, _ = settings
    parts, weight = (others[:-1], others[-1]) if weighted else (others, None)

    def value(f: Tensor) -> Tensor:
        found: Tensor = _loss(configuration)._by_formula(tuple(parts), f, weight, reduction).sum()
        return found

    return value


def _product(settings: Sequence[Any], f: Tensor, others: Sequence[Tensor], vector: Tensor) -> Tensor:
    """Return the Hessian of the values' sum times a vector."""
    slope = torch.func.grad(_formula(settings, others))
    _, back = torch.func.vjp(slope, _Last.apply(f))
    (found,) = back(vector)
    return found


class _Last(torch.autograd.Function):  # type: ignore[misc]
    """Predictions that are differentiated no further."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f: Tensor) -> Tensor:
        return f.view_as(f)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        raise NotImplementedError(_TWICE)

    @staticmethod
    def jvp(ctx: Any, change: Tensor) -> Tensor:
        raise NotImplementedError(_TWICE)


class _Structured(torch.autograd.Function):  # type: ignore[misc]
    """The operation with its gradient attached."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f: Tensor, configuration: str, weighted: bool, reduction: str, wanted: bool, *others: Tensor) -> Any:
        return _computed(f, list(others), configuration, weighted, reduction, wanted)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        f, *settings = inputs[:5]
        ctx.settings, others = settings, inputs[5:]
        ctx.save_for_backward(output[1], f, *others)
        ctx.save_for_forward(output[1], f, *others)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, of_gradient: Tensor | None) -> tuple[Any, ...]:
        gradient, f, *others = ctx.saved_tensors
        found = None
        if upstream is not None:
            found = _spread(upstream, gradient) * gradient
        # A compiler hands both over, but differentiates no backward pass.
        if of_gradient is not None and not torch.compiler.is_compiling():
            bent = _product(ctx.settings, f, others, of_gradient)
            found = bent if found is None else found + bent
        return found, *(None,) * (len(ctx.settings) + len(others))


def _spread(x: Tensor, like: Tensor) -> Tensor:
    return x.reshape(x.shape + (1,) * (like.ndim - x.ndim))


class _BothWays(_Structured):
    """The same with forward mode, which a compiler could not trace."""

    @staticmethod
    def jvp(ctx: Any, change: Tensor, *_: Any) -> Any:
        gradient, f, *others = ctx.saved_tensors
        missing = gradient.shape != f.shape
        slope = _computed(f, others, *ctx.settings[:3], True)[1] if missing else gradient
        value = slope * change
        risen = value.flatten(1).sum(1) if ctx.settings[2] == "none" else value.sum()
        return risen, torch.zeros_like(gradient) if missing else _product(ctx.settings, f, others, change)
