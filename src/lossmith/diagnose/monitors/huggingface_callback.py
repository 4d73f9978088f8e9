"""The monitor of the Hugging Face Trainer, as a class of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from transformers import TrainerCallback

from ..record import Record
from .torch import TorchMonitor
from .torch_hook import Hook, Meter


@final
class HuggingFaceMonitor(TrainerCallback):  # type: ignore[misc]
    """See `lossmith.huggingface_monitor`.

    Parameters
    ----------
    options : mapping of str to object
        As of `TorchMonitor`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._monitor: TorchMonitor | None = None
        self._hook: Any = None
        self._losses: list[Any] = []
        self._each_step = False

    @property
    def record(self) -> Record:
        """The run so far; empty before training."""
        return Record() if self._monitor is None else self._monitor.record

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Begin; the Trainer calls this."""
        self._monitor = TorchMonitor(model, None, **self._options)
        optimizer = rest.get("optimizer")
        self._monitor.learn(
            optimizer=None if optimizer is None else type(getattr(optimizer, "optimizer", optimizer)).__name__,
            framework="huggingface",
            planned_steps=state.max_steps or None,
            batch_size=state.train_batch_size,
        )
        self._hook = model.register_forward_hook(Hook(self._on_output, Meter()))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Look at the gradient; the Trainer calls this."""
        if self._monitor is not None and rest.get("optimizer") is not None:
            self._monitor.before_update(rest["optimizer"])

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Record a step; the Trainer calls this."""
        if self._monitor is not None and self._losses:
            loss = torch.stack(self._losses).mean()
            self._losses = []
            self._monitor.step(loss, epoch=state.epoch)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        """Record the logged mean where the model returns no loss; the Trainer calls this."""
        if self._monitor is not None and not self._each_step and logs and "loss" in logs:
            self._monitor.at(state.global_step - 1).step(float(logs["loss"]), epoch=state.epoch)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **rest: Any) -> None:
        """Record figures of held-out rows; the Trainer calls this."""
        if self._monitor is None:
            return
        held = {k.removeprefix("eval_"): float(v) for k, v in (metrics or {}).items() if isinstance(v, (int, float))}
        named = {k: v for k, v in held.items() if not k.endswith(("runtime", "per_second", "epoch"))}
        self._monitor.evaluate(named.pop("loss", None), **named)

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Write what is left; the Trainer calls this."""
        if self._hook is not None:
            self._hook.remove()
        if self._monitor is not None:
            self._monitor.close()

    def _on_output(self, module: Any, args: Any, output: Any) -> None:
        loss = output.get("loss") if isinstance(output, Mapping) else None
        if loss is not None and torch.is_grad_enabled() and math.prod(loss.shape) == 1:
            self._each_step = True
            self._losses.append(loss.detach().reshape(()))
