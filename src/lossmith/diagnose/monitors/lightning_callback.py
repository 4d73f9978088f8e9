"""The monitor of Lightning, as a class of Lightning's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, final

from lightning.pytorch import Callback

from ..record import Record
from .torch import TorchMonitor


@final
class LightningMonitor(Callback):  # type: ignore[misc]
    """See `lossmith.lightning_monitor`.

    Parameters
    ----------
    options : mapping of str to object
        As of `TorchMonitor`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = dict(options)
        self._monitor: TorchMonitor | None = None

    @property
    def record(self) -> Record:
        """The run so far; empty before training."""
        return Record() if self._monitor is None else self._monitor.record

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin; Lightning calls this."""
        # No hook on the optimisers: they run the batch inside their step, and Lightning says itself when to look.
        self._monitor = TorchMonitor(pl_module, None, **self._options)
        names = " + ".join(type(o).__name__ for o in trainer.optimizers)
        planned = trainer.estimated_stepping_batches
        steps = int(planned) if planned != float("inf") and planned > 0 else None
        self._monitor.learn(optimizer=names or None, framework="lightning", planned_steps=steps)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Keep hold of the batch; Lightning calls this."""
        if self._monitor is None:
            return
        parts = batch if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else [batch]
        held = dict(parts) if isinstance(parts, Mapping) else dict(enumerate(parts))
        self._monitor.before_batch(held, lambda: _again(trainer, pl_module, batch, batch_idx))

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Look at the gradient; Lightning calls this after the backward pass."""
        if self._monitor is not None:
            self._monitor.before_update(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record a step; Lightning calls this."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if self._monitor is None or loss is None:
            return
        batches = trainer.num_training_batches
        part = (batch_idx + 1) / batches if batches and batches != float("inf") else 0.0
        self._monitor.step(loss, epoch=trainer.current_epoch + part)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what was logged on held-out rows; Lightning calls this."""
        if self._monitor is None or trainer.sanity_checking:
            return
        logged = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith(("val", "eval"))}
        named = {name.split("_", 1)[-1].split("/", 1)[-1]: value for name, value in logged.items()}
        if named:
            self._monitor.evaluate(named.pop("loss", None), **named)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Write what is left; Lightning calls this when training fails."""
        self._end()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write what is left; Lightning calls this."""
        self._end()

    def _end(self) -> None:
        if self._monitor is not None:
            self._monitor.close()


def _again(trainer: Any, module: Any, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Run a batch once more, up to its loss; return what it would have logged and returned."""
    told: dict[str, Any] = {}
    if not module.automatic_optimization:
        return told  # its training step makes updates
    silent = {
        "log": lambda name, value, *args, **kwargs: told.update({name: value}),
        "log_dict": lambda values, *args, **kwargs: told.update(values),
    }
    held = {name: vars(module)[name] for name in silent if name in vars(module)}
    vars(module).update(silent)
    try:
        with trainer.strategy.precision_plugin.train_step_context():
            # Steps that ask for no index do not get one.
            takes = len(inspect.signature(module.training_step).parameters)
            output = module.training_step(*(batch, batch_idx)[:takes])
    finally:
        for name in silent:
            del vars(module)[name]
        vars(module).update(held)
    whole = dict(output) if isinstance(output, Mapping) else {"loss": output}
    parts = {name: value for name, value in (told | whole).items() if name != "loss"}
    return parts | {"loss": whole.get("loss")}
