"""Linear cross-entropy as one operation of torch, whose forward pass computes the gradients, too."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..core.reduce import check_reduction
from ..losses.linear_problem import NAME, Problem, Settings, check_labels_shape, check_layer, read, solve
from ..losses.linear_sweep import Backend, NumpyBackend, Wanted
from .torch_linear_sweep import TorchBackend, layer_of, read_tensors
from .torch_linear_traced import Traced

Tensor = Any

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_NOTHING = Wanted(False, False, False)


@dataclasses.dataclass(frozen=True)
class Call:
    """What is not differentiated.

    Attributes
    ----------
    loss : LinearCrossEntropy
        The hyper-parameters.
    labels : integer Tensor, shape (...)
        One for each row.
    sample_weight : Tensor, shape (...), or None
        One for each row.
    reduction : {"mean", "sum", "none"}
        Of the value.
    chunk_size : int or None
        Rows of logits to hold at a time.
    """

    loss: Settings
    labels: Tensor
    sample_weight: Tensor | None
    reduction: str
    chunk_size: int | None


def compute(call: Call, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Check the inputs, cast them as autocast wants, and compute the loss."""
    _check(call, hidden, weight)
    device = hidden.device.type
    if not torch.is_autocast_enabled(device):
        return _dispatch(call, hidden, weight, bias)
    dtype = torch.get_autocast_dtype(device)
    cast = (x if x is None else x.to(dtype) for x in (hidden, weight, bias))
    with torch.autocast(device, enabled=False):
        return _dispatch(call, *cast)


def _dispatch(call: Call, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    check_layer(hidden, weight, bias, ("hidden", "weight"))
    if torch.compiler.is_compiling():
        reduced = call.reduction, call.chunk_size
        return Traced.apply(hidden, weight, bias, call.labels, call.sample_weight, call.loss, *reduced)
    return _Fused.apply(hidden, weight, bias, call, torch.is_grad_enabled())


def _check(call: Call, hidden: Tensor, weight: Tensor) -> None:
    check_reduction(call.reduction)
    for name, given in {"hidden": hidden, "weight": weight, "labels": call.labels}.items():
        if not isinstance(given, torch.Tensor):
            raise TypeError(f"{NAME}: {name} is {type(given).__name__}; give a tensor")
    if not hidden.is_floating_point():
        raise TypeError(f"{NAME}: hidden has dtype {hidden.dtype}; give floating-point inputs (labels come third)")
    if call.labels.is_floating_point() or call.labels.dtype == torch.bool:
        raise TypeError(f"{NAME}: labels has dtype {call.labels.dtype}; give whole-number labels")
    check_labels_shape(tuple(call.labels.shape), tuple(hidden.shape), ("labels", "hidden"))
    _check_sample_weight(call.sample_weight, tuple(call.labels.shape))


def _check_sample_weight(weight: Tensor | None, shape: tuple[int, ...]) -> None:
    if weight is None:
        return
    if tuple(weight.shape) != shape:
        raise ValueError(f"{NAME}: sample_weight has shape {tuple(weight.shape)}; give one for each label, {shape}")
    if weight.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"{NAME}: sample_weight requires a gradient; pass sample_weight.detach(), or multiply the values of "
            "reduction='none' by it"
        )


class _Fused(torch.autograd.Function):  # type: ignore[misc]
    """The operation, for programs that run as they are written."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, call: Call, differentiated: bool
    ) -> Tensor:
        ctx.call, ctx.wanted = call, Wanted(*(differentiated and need for need in ctx.needs_input_grad[:3]))
        now = _NOTHING if call.reduction == "none" else ctx.wanted
        value, gradients = solve(*_problem(call, hidden, weight, bias), now, call.reduction, call.chunk_size)
        ctx.ready = None if now is _NOTHING else gradients
        ctx.save_for_backward(hidden, weight, bias)
        return torch.as_tensor(value)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients."""
        # Handed over rather than kept, so that torch need not copy them into .grad; a second backward computes anew.
        gradients, ctx.ready = ctx.ready, None
        with torch.no_grad():
            if gradients is None:
                gradients = _again(ctx, upstream)
            factor = None if ctx.call.reduction == "none" else upstream
            results = tuple(None if g is None else _scaled(torch.as_tensor(g), factor) for g in gradients)
            del gradients
        if torch.is_grad_enabled():
            results = _Last.apply(upstream, *ctx.saved_tensors, *results)
        return (*results, None, None)


class _Last(torch.autograd.Function):  # type: ignore[misc]
    """Gradients that cannot be differentiated again; they depend on the first four inputs."""

    @staticmethod
    def forward(ctx: Any, upstream: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, *results: Tensor) -> Any:
        """Return the gradients."""
        return results

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """Refuse."""
        raise NotImplementedError(
            f"{NAME} has no second derivative; where one is needed, use torch.nn.functional.cross_entropy(linear(...))"
        )


def _scaled(gradient: Tensor, factor: Tensor | None) -> Tensor:
    """Multiply in place, where there is something to do."""
    if factor is None or (factor.is_cpu and factor.item() == 1.0):
        return gradient
    return gradient.mul_(factor)


def _again(ctx: Any, upstream: Tensor) -> tuple[Any, Any, Any]:
    """Compute gradients in the backward pass: of single values, whose weights are only known now."""
    call: Call = ctx.call
    backend, problem = _problem(call, *ctx.saved_tensors)
    if call.reduction != "none":
        return solve(backend, problem, ctx.wanted, call.reduction, call.chunk_size)[1]
    flat = upstream.reshape(-1)
    pull = flat.numpy() if isinstance(backend, NumpyBackend) else flat
    pull = pull if problem.weight is None else pull * problem.weight
    index = problem.chosen.index
    chosen = dataclasses.replace(problem.chosen, weight=pull if index is None else pull[index])
    return solve(backend, problem._replace(chosen=chosen), ctx.wanted, "sum", call.chunk_size)[1]


def _problem(call: Call, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Backend, Problem]:
    """Return the inputs as they are computed: plain CPU tensors as the NumPy arrays that they are."""
    tensors = (call.labels, hidden, weight, bias, call.sample_weight)
    plain = all(x is None or (type(x) in _PLAIN and x.is_cpu and x.layout is torch.strided) for x in tensors)
    if plain and hidden.dtype in (torch.float32, torch.float64):
        return NumpyBackend(), read(call.loss, *(None if x is None else x.detach().numpy() for x in tensors))
    layer = layer_of(call.loss, hidden, weight, bias)
    return TorchBackend(), read_tensors(call.loss, call.labels, layer, call.sample_weight)
