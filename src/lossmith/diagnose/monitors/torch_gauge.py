"""Measurements on a PyTorch model: norms of gradients, parameters and updates, and what its layers put out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import nn

from ..record import Layer
from .torch_hook import Hook, Meter

Tensor = Any
Module = Any

# An activation is saturated where its slope is below 5 % of its steepest.
_SIGMOID_END = 0.5 - math.sqrt(0.25 - 0.05 * 0.25)
_TANH_END = math.sqrt(0.95)
_ENDS: dict[str, tuple[float, float]] = {
    "sigmoid": (_SIGMOID_END, 1 - _SIGMOID_END),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-_TANH_END, _TANH_END),
    "hardtanh": (-1.0, 1.0),
    "relu6": (-1.0, 6.0),
}
_RECTIFIED = frozenset({"relu", "relu6", "threshold", "hardshrink", "softshrink"})
_SMOOTH = frozenset(
    {"gelu", "silu", "elu", "selu", "celu", "leakyrelu", "prelu", "softplus", "mish", "softmax", "logsoftmax"}
)
_FUNCTIONS = frozenset(_ENDS) | _RECTIFIED | _SMOOTH
_VIEWS = ("View", "UnsafeView", "ReshapeAlias", "Transpose", "Permute", "Clone", "MaxPool", "AvgPool", "ToCopy")
_MOST = 1 << 18


def norms(tensors: Sequence[Tensor]) -> list[float]:
    """Return the Euclidean norm of each tensor, with one transfer from the device.

    Parameters
    ----------
    tensors : sequence of Tensor
        Any shapes; sparse ones are allowed.

    Returns
    -------
    list of float
        Computed again in float64 where float32 overflows.
    """
    if not tensors:
        return []
    dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    wide = [t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in dense]
    if len({(t.dtype, t.device) for t in wide}) == 1:
        found: list[float] = torch.stack(torch._foreach_norm(wide)).tolist()
    else:
        found = [float(torch.linalg.vector_norm(t)) for t in wide]
    return [v if math.isfinite(v) else _again(t) for v, t in zip(found, wide, strict=True)]


def _again(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def total(parts: Sequence[float]) -> float:
    """Return the norm of a whole from the norms of its parts.

    Parameters
    ----------
    parts : sequence of float
        Norms.

    Returns
    -------
    float
        Their Euclidean norm.
    """
    return math.sqrt(sum(v * v for v in parts)) if all(map(math.isfinite, parts)) else math.fsum(parts)


def owners(model: Module) -> dict[str, list[Tensor]]:
    """Return the parameters that each module holds itself, shared ones once, in the order of the definition.

    Parameters
    ----------
    model : torch.nn.Module
        Any.

    Returns
    -------
    dict of str to list of Tensor
        By the module's name; the model itself is called by the name of its class.
    """
    seen: set[int] = set()
    found: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        if own:
            found[name or type(model).__name__] = own
    return found


@final
class Gauge:
    """Measures one model.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.

    Attributes
    ----------
    parameters : list of Tensor
        All of them, frozen ones too.
    """

    def __init__(self, model: Module) -> None:
        self._model = model
        self._owners = owners(model)
        self.parameters = [p for own in self._owners.values() for p in own]
        self._before: list[Tensor] = []
        self._hooks: list[Any] = []
        self._meter = Meter()
        self._found: dict[str, dict[str, Tensor]] = {}
        self._from_modules: set[int] = set()
        self._last = ""

    def seconds(self) -> float:
        """Return the time spent listening since the last call."""
        return self._meter.take()

    @property
    def listening(self) -> bool:
        """Whether a full measurement is under way."""
        return bool(self._hooks)

    # --- gradients ----------------------------------------------------------------------------------------

    def gradients(self) -> dict[int, float]:
        """Return the norm of each parameter's gradient, by the parameter's place; those without one are absent."""
        held = [(i, p.grad) for i, p in enumerate(self.parameters) if p.grad is not None]
        return dict(zip((i for i, _ in held), norms([g for _, g in held]), strict=True))

    # --- a full measurement -------------------------------------------------------------------------------

    def prepare(self, listen: bool = True) -> None:
        """Keep the parameters as they are and listen to the layers, until `measure`.

        Parameters
        ----------
        listen : bool
            False leaves the layers alone.
        """
        self.forget()
        with torch.no_grad():
            self._before = [p.detach().clone() for p in self.parameters]
        if not listen:
            return
        for name, module in self._model.named_modules():
            if next(module.children(), None) is None:
                called = name or type(module).__name__
                after = Hook(self._on_output(called, _function(module)), self._meter)
                self._hooks.append(module.register_forward_pre_hook(Hook(self._on_input, self._meter)))
                self._hooks.append(module.register_forward_hook(after))
        self._hooks.append(self._model.register_forward_hook(Hook(self._on_end, self._meter)))

    def forget(self) -> None:
        """Stop listening."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before, self._found, self._last = [], [], {}, ""
        self._from_modules = set()

    def measure(self, gradients: dict[int, float]) -> tuple[dict[str, Layer], float, float, dict[str, float]]:
        """End a full measurement.

        Parameters
        ----------
        gradients : dict of int to float
            From `gradients`, taken before the parameters moved.

        Returns
        -------
        layers : dict of str to Layer
            In forward order; layers that no input went through come last.
        parameter_norm, update_norm : float
            Over all parameters.
        output : dict of str to float
            About what the model put out: "output_min", "output_max", and, of outputs with several columns,
            "output_sum_error", the largest distance of a row's sum from 1.
        """
        with torch.no_grad():
            sizes = norms(self.parameters)
            moved = norms(torch._foreach_sub([p.detach() for p in self.parameters], self._before))
        heard = self._heard()
        output = heard.pop("", {})
        own: dict[str, dict[str, float]] = {}
        place = 0
        for name, held in self._owners.items():
            span = range(place, place + len(held))
            place += len(held)
            own[name] = {
                "parameter_norm": total([sizes[i] for i in span]),
                "update_norm": total([moved[i] for i in span]),
            }
            if any(i in gradients for i in span):
                own[name]["gradient_norm"] = total([gradients[i] for i in span if i in gradients])
        order = [*heard, *(name for name in own if name not in heard)]
        layers = {name: Layer(**own.get(name, {}), **heard.get(name, {})) for name in order}
        self.forget()
        return layers, total(sizes), total(moved), output

    def _heard(self) -> dict[str, dict[str, float]]:
        places = [(layer, name) for layer, stats in self._found.items() for name in stats]
        if not places:
            return {}
        values = torch.stack([self._found[layer][name].double() for layer, name in places]).tolist()
        heard: dict[str, dict[str, float]] = {layer: {} for layer in self._found}
        for (layer, name), value in zip(places, values, strict=True):
            heard[layer][name] = value
        return heard

    # --- hooks --------------------------------------------------------------------------------------------

    def _on_input(self, module: Module, args: tuple[Any, ...]) -> None:
        if args and torch.is_grad_enabled():
            self._functional(args[0])

    def _on_output(self, name: str, function: str | None) -> Any:
        def listen(module: Module, args: tuple[Any, ...], output: Any) -> None:
            tensor = first(output)
            if tensor is None or not torch.is_grad_enabled():
                return
            self._found.pop(name, None)
            if function is not None:
                self._from_modules.add(tensor.data_ptr())
            if function is not None or next(module.parameters(recurse=False), None) is not None:
                self._found[name] = _describe(tensor, function)
                self._last = name

        return listen

    def _on_end(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        tensor = first(output)
        if tensor is None or not torch.is_grad_enabled():
            return
        self._functional(tensor)
        tensor = _sampled(tensor.detach()).double()
        if tensor.numel():
            self._found[""] = {"output_min": tensor.min(), "output_max": tensor.max()}
            if tensor.ndim == 2 and tensor.shape[1] > 1:
                self._found[""]["output_sum_error"] = (tensor.sum(1) - 1).abs().max()

    def _functional(self, value: Any) -> None:
        """Describe a value that an activation *function* made, not a module: autograd knows which one."""
        tensor = first(value)
        if tensor is None or tensor.data_ptr() in self._from_modules:
            return
        function = _made_by(tensor.grad_fn)
        if function is not None:
            name = f"{self._last}.{function}" if self._last else function
            self._found.pop(name, None)
            self._found[name] = _describe(tensor, function)


def first(value: Any) -> Tensor | None:
    """Return the first floating-point tensor of a module's input or output.

    Parameters
    ----------
    value : object
        A tensor, or tuples, lists, mappings and dataclasses of the libraries that wrap one.

    Returns
    -------
    Tensor or None
        None when there is none.
    """
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return next((t for t in map(first, value) if t is not None), None)
    return None


def _function(module: Module) -> str | None:
    name = type(module).__name__.lower()
    return name if name in _FUNCTIONS and isinstance(module, nn.Module) else None


def _made_by(node: Any) -> str | None:
    """Name the activation function at the end of a graph, looking through views and pooling."""
    for _ in range(8):
        if node is None:
            return None
        name = node.name().partition("Backward")[0]
        if name.lower() in _FUNCTIONS:
            return str(name.lower())
        if not name.startswith(_VIEWS) or not node.next_functions:
            return None
        node = node.next_functions[0][0]
    return None


def _sampled(tensor: Tensor) -> Tensor:
    """Take every k-th sample of a large batch, so that looking costs little beside computing."""
    step = max(1, tensor.numel() // _MOST)
    return tensor[::step] if step > 1 and tensor.ndim > 1 and tensor.shape[0] > 1 else tensor


def _describe(output: Tensor, function: str | None) -> dict[str, Tensor]:
    tensor = _sampled(output.detach())
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if not tensor.numel():
        return {}
    spread, mean = torch.std_mean(tensor, correction=0)
    live = tensor != 0
    found = {
        "activation_mean": mean,
        "activation_std": spread,
        "zero_share": 1 - torch.count_nonzero(live) / tensor.numel(),
    }
    if function in _RECTIFIED and tensor.ndim > 1:
        # Channels of images are units, and so are the last axis of rows and of sequences.
        unit = 1 if tensor.ndim > 3 else tensor.ndim - 1
        units = live.movedim(unit, -1).flatten(0, -2).any(0)
        found["dead_share"] = 1 - torch.count_nonzero(units) / units.numel()
    if function in _ENDS:
        low, high = _ENDS[function]
        found["saturated_share"] = torch.count_nonzero((tensor <= low) | (tensor >= high)) / tensor.numel()
    return found
