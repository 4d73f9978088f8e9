"""The hooks that a monitor keeps on a PyTorch model and its optimisers during the whole run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import nn

from .torch_gauge import Gauge, first, total
from .torch_hook import Hook, Meter, deaf
from .torch_search import Batch, blame_gradient, finite, search
from .trouble import NonFinite

Tensor = Any
Module = Any

_KEPT_OUTPUT = 1 << 16
_KNOWN_LOSSES = {
    "MseLoss": "mse",
    "NllLoss": "cross_entropy",
    "NllLoss2D": "cross_entropy",
    "BinaryCrossEntropy": "bce",
    "BinaryCrossEntropyWithLogits": "bce_with_logits",
    "HuberLoss": "huber",
    "SmoothL1Loss": "smooth_l1",
    "SoftMarginLoss": "soft_margin",
}
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@final
class Probe:
    """Sees each batch go in and each update come.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.
    optimizers : sequence of torch.optim.Optimizer
        Told before each update.
    before_update : callable
        Called with the learning rate, and whether a gradient scaler has judged the gradient already.

    Attributes
    ----------
    gauge : Gauge
        For measurements on request.
    """

    def __init__(
        self, model: Module, optimizers: Sequence[Any], before_update: Callable[[float | None, bool], None]
    ) -> None:
        self._model = model
        self._batch: Batch | None = None
        self._meter = Meter()
        self._frozen: float | None = None
        self._noisy: float | None = None
        self._before_update = before_update
        self.gauge = Gauge(model)
        self._guard = _guard(self.gauge.parameters)
        self._hooks: list[Any] = []
        self._optimizers = tuple(optimizers)

    def follow(self, wanted: bool) -> None:
        """Keep hold of each batch, so that it can be run again, and see each update come; or stop to.

        Parameters
        ----------
        wanted : bool
            True from the next batch on.
        """
        if wanted == self.following:
            return
        if wanted:
            self._hooks = [
                *(o.register_step_pre_hook(self._on_update) for o in self._optimizers),
                self._model.register_forward_pre_hook(Hook(self._on_input, self._meter), with_kwargs=True),
                self._model.register_forward_hook(Hook(self._on_output, self._meter)),
            ]
        else:
            for hook in self._hooks:
                hook.remove()
            self._hooks, self._batch = [], None

    @property
    def following(self) -> bool:
        """Whether batches are kept hold of."""
        return bool(self._hooks)

    def seconds(self) -> float:
        """Return the time spent on following since the last call."""
        return self._meter.take()

    def close(self) -> None:
        """Take all hooks off."""
        self.gauge.forget()
        self.follow(False)

    def sound(self) -> bool:
        """Tell whether the gradient is finite, by the smallest tensor of the layer it reaches last.

        Returns
        -------
        bool
            Whatever is not finite on the way back reaches it, as sums and products pass NaN and infinities on.
        """
        gradient = self._guard.grad if self._guard is not None else None
        if gradient is None or gradient.is_sparse:
            return True
        # The sum of a few numbers: quicker than looking at each, and a sum that overflows is looked at again.
        return math.isfinite(gradient.sum().item()) or finite(gradient)

    @staticmethod
    def total(gradients: dict[int, float]) -> float:
        """Return the norm of the whole gradient."""
        return total(list(gradients.values()))

    def search(self, step: int) -> NonFinite | None:
        """Look for the first number on the way forward that is not finite."""
        return search(self._model, self._batch, step)

    def blame_gradient(self, step: int) -> NonFinite:
        """Say where a gradient that is not finite comes from."""
        return self.search(step) or blame_gradient(self._model, self._batch, step)

    def modes(self) -> dict[str, float]:
        """Return shares of layers in the wrong mode, of the passes since the last call.

        Returns
        -------
        dict of str to float
            "norm_in_eval": share of batch and instance norms that were in evaluation mode in a training pass;
            "dropout_in_eval": share of dropouts that were active in a pass without gradients.
        """
        found = {"norm_in_eval": self._frozen, "dropout_in_eval": self._noisy}
        self._noisy = None
        return {name: value for name, value in found.items() if value is not None}

    def inputs(self) -> dict[str, Any]:
        """Return facts about the batch that went in last."""
        tensor = next((t for t in map(first, self._batch.args) if t is not None), None) if self._batch else None
        if tensor is None or tensor.ndim < 2 or tensor.shape[0] < 2 or tensor.numel() == 0:
            return {}
        spread, mean = torch.std_mean(tensor.detach().double().reshape(tensor.shape[0], -1), 0, correction=0)
        return {
            "batch_size": int(tensor.shape[0]),
            "input_mean_max": float(mean.abs().max()),
            "input_std_max": float(spread.max()),
            "input_std_min": float(spread.min()),
        }

    # --- hooks --------------------------------------------------------------------------------------------

    def _on_input(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():
            if self.gauge.listening:
                self._noisy = _share(module, nn.modules.dropout._DropoutNd, training=True)
            return
        if self.gauge.listening:
            self._frozen = _share(module, _NORMS, training=False)
        device = "cuda" if self._guard is not None and self._guard.is_cuda else "cpu"
        mixed = (device, torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None
        self._batch = Batch(args, kwargs, mixed)

    def _on_output(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        batch, tensor = self._batch, first(output)
        if batch is None or tensor is None or not tensor.requires_grad or tensor.numel() > _KEPT_OUTPUT:
            return

        def keep(gradient: Tensor) -> None:
            batch.output_gradient = gradient

        tensor.register_hook(keep)

    def _on_update(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # With a closure the optimiser is about to run the batch itself: there is no gradient of it yet.
        if (len(args) > 1 and args[1] is not None) or kwargs.get("closure") is not None:
            return
        group = optimizer.param_groups[0]
        # A gradient scaler leaves this mark on fused optimisers and handles infinities itself.
        judged = getattr(optimizer, "found_inf", None) is not None
        self._before_update(float(group["lr"]) if "lr" in group else None, judged)


def loss_name(loss: Any) -> str | None:
    """Guess a loss by the last operation that autograd saw.

    Parameters
    ----------
    loss : Tensor or float
        As it came from the criterion.

    Returns
    -------
    str or None
        None when it cannot be told.
    """
    node = loss.grad_fn if isinstance(loss, torch.Tensor) else None
    return None if node is None else _KNOWN_LOSSES.get(node.name().partition("Backward")[0])


def hook_cost() -> float:
    """Measure what PyTorch itself spends on calling two hooks of a module.

    Returns
    -------
    float
        Seconds for each pass; it cannot be seen from within the hooks.
    """
    module, meter, value = nn.Identity(), Meter(), torch.zeros(1)

    def pass_through() -> float:
        begun = time.perf_counter()
        for _ in range(20):
            module(value)
        return (time.perf_counter() - begun) / 20

    plain = min(pass_through() for _ in range(3))
    module.register_forward_pre_hook(Hook(deaf, meter), with_kwargs=True)
    module.register_forward_hook(Hook(deaf, meter))
    return max(0.0, min(pass_through() for _ in range(3)) - plain)


def _guard(parameters: Sequence[Tensor]) -> Tensor | None:
    """Choose the smallest of the first few trainable parameters: the gradient passes them last."""
    trained = [p for p in parameters if p.requires_grad][:2]
    return min(trained, key=lambda p: p.numel(), default=None)


def _share(model: Module, kinds: Any, training: bool) -> float | None:
    found = [m.training for m in model.modules() if isinstance(m, kinds)]
    return sum(mode == training for mode in found) / len(found) if found else None
