"""The hooks that a monitor keeps on a PyTorch model and its optimisers during the whole run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import nn

from .torch_gauge import Gauge, first, total
from .torch_keeper import Batch, Entry, Exit
from .torch_search import blame_gradient, finite, search, search_before
from .trouble import NonFinite

Tensor = Any
Module = Any

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
_FEW = 64
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
        A hook of theirs: called with the optimiser, and what its ``step`` was called with.

    Attributes
    ----------
    gauge : Gauge
        For measurements on request.
    turn : callable
        To be called as an update begins.
    """

    def __init__(self, model: Module, optimizers: Sequence[Any], before_update: Callable[..., None]) -> None:
        self._model = model
        self._frozen: float | None = None
        self._noisy: float | None = None
        self._before_update = before_update
        self.gauge = Gauge(model)
        self._guard = _guard(self.gauge.parameters)
        self._entry = Entry("cuda" if self._guard is not None and self._guard.is_cuda else "cpu")
        self._exit: Any = None
        self.turn = self._entry.turn
        self._hooks: list[Any] = []
        self._optimizers = tuple(optimizers)

    def follow(self, wanted: bool, closely: bool) -> None:
        """Keep hold of each batch, so that it can be run again, and see each update come; or stop to.

        Parameters
        ----------
        wanted : bool
            True from the next batch on.
        closely : bool
            Keep the gradient at the model's output too.
        """
        if wanted and not self._hooks:
            self._hooks = [
                *(o.register_step_pre_hook(self._before_update) for o in self._optimizers),
                self._entry.attach(self._model),
            ]
        elif self._hooks and not wanted:
            for hook in self._hooks:
                hook.remove()
            self._hooks = []
            self._entry.clear()
        self._entry.aside = self._on_pass if closely else None
        if closely and self._exit is None:
            self._exit = self._model.register_forward_hook(Exit(self._entry))
        elif self._exit is not None and not closely:
            self._exit.remove()
            self._exit = self._entry.output = None

    def told(self, parts: Mapping[str | int, Any], run: Callable[[], Any]) -> None:
        """Be told of a batch by a loop that does not call the model itself.

        Parameters
        ----------
        parts : mapping of str or int to object
            What it holds.
        run : callable
            Runs it again.
        """
        self._entry.whole = Batch((), {str(name): value for name, value in parts.items()}, run=run)

    def prepare(self) -> None:
        """Begin a full measurement: of the layers too, unless each hook would have the model compiled again."""
        self.gauge.prepare(listen=not self._entry.compiled)

    def close(self) -> None:
        """Take all hooks off."""
        self.gauge.forget()
        self.follow(False, False)

    def few(self) -> Tensor | None:
        """Return the parameter that `sound` looks at if its gradient is quicker to read than to add up."""
        guard = self._guard
        if guard is None or guard.is_cuda or guard.ndim != 1 or guard.numel() > _FEW:
            return None
        return guard

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
        value = gradient.sum().item()
        return value - value == 0.0 or finite(gradient)

    @staticmethod
    def total(gradients: dict[int, float]) -> float:
        """Return the norm of the whole gradient."""
        return total(list(gradients.values()))

    def search(self, step: int, *, updated: bool = True) -> NonFinite | None:
        """Look for the first number on the way forward that is not finite.

        Parameters
        ----------
        step : int
            The step in question.
        updated : bool
            Whether its update has been made.

        Returns
        -------
        NonFinite or None
            None when all are finite.
        """
        found = search(self._model, self._entry.batch, step)
        if found is None or found.term != "parameter" or len(self._optimizers) != 1:
            return found
        # An update made it so. A number may be lost on the way to the loss, as behind tanh, and come back only there.
        earlier = search_before(self._model, self._entry.batch, found, 0) if updated else None
        return earlier or search_before(self._model, self._entry.before, found, 1) or found

    def blame_gradient(self, step: int) -> NonFinite:
        """Say where a gradient that is not finite comes from."""
        return self.search(step, updated=False) or blame_gradient(self._model, self._entry.batch, step)

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

    def rows(self) -> int | None:
        """Return how many rows the batch has that went in last."""
        tensor = self._input()
        return None if tensor is None or not tensor.ndim else int(tensor.shape[0])

    def _input(self) -> Tensor | None:
        batch = self._entry.batch
        held = () if batch is None else (*batch.args, *batch.kwargs.values())
        return next((t for t in map(first, held) if t is not None), None)

    def inputs(self) -> dict[str, Any]:
        """Return facts about the batch that went in last."""
        tensor = self._input()
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

    def _on_pass(self, module: Module, learning: bool) -> None:
        if not self.gauge.listening:
            return
        if learning:
            self._frozen = _share(module, _NORMS, training=False)
        else:
            self._noisy = _share(module, nn.modules.dropout._DropoutNd, training=True)


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


def watching_cost() -> float:
    """Measure what the watch for numbers that are not finite costs a step.

    Returns
    -------
    float
        Seconds, with warm caches, for hooks of the model and of an optimiser: most of it cannot be seen from within.
    """
    module, value, guard = nn.Identity(), torch.zeros(2), torch.zeros(16)

    def passes() -> float:
        begun = time.thread_time()
        for _ in range(20):
            module(value)
        return (time.thread_time() - begun) / 20

    def sums() -> float:
        begun = time.thread_time()
        for _ in range(20):
            math.isfinite(guard.sum().item())
        return (time.thread_time() - begun) / 20

    plain = min(passes() for _ in range(3))
    Entry("cpu").attach(module)
    return max(0.0, min(passes() for _ in range(3)) - plain) + 2 * min(sums() for _ in range(3))


def _guard(parameters: Sequence[Tensor]) -> Tensor | None:
    """Choose the smallest of the first few trainable parameters: the gradient passes them last."""
    trained = [p for p in parameters if p.requires_grad][:2]
    return min(trained, key=lambda p: p.numel(), default=None)


def _share(model: Module, kinds: Any, training: bool) -> float | None:
    found = [m.training for m in model.modules() if isinstance(m, kinds)]
    return sum(mode == training for mode in found) / len(found) if found else None
