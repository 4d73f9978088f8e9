"""The monitor of Keras, as a class of its own."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from ..record import Record, Step
from .arrays import ArrayGauge, first_bad, norm
from .budget import Budget
from .keras_batch import Keeper, search
from .run import Run
from .trouble import NonFinite

_CLOCK = time.perf_counter


@final
class KerasMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """See `lossmith.keras_monitor`.

    Parameters
    ----------
    options : mapping of str to object
        As of `lossmith.keras_monitor`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        held = dict(options)
        self._every: int | None = held.pop("every", None)
        self._run = Run(**held)
        # A rate that is a schedule takes Keras up to a millisecond to evaluate.
        parts = {"layers": 0.03, "rate": 0.01}
        self._budget = Budget({kind: math.inf if self._every else part for kind, part in parts.items()}, clock=_CLOCK)
        self._gauge = ArrayGauge()
        self._number = self._next = self._batches = 0
        self._remembered = False
        self._mean: float | None = None
        self._keeper: Keeper | None = None
        self._since = 0  # the step before which parameters were last remembered

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._run.record

    def set_model(self, model: Any) -> None:
        """Stand by; Keras calls this before it compiles the step."""
        super().set_model(model)
        if keras.backend.backend() == "tensorflow":
            self._keep()

    def _keep(self) -> None:
        if self._run.nan != "ignore" and self._keeper is None:
            self._keeper = Keeper(self.model)
            self._keeper.attach()

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin; Keras calls this."""
        self._keep()
        told = self.params or {}
        epochs, steps = told.get("epochs"), told.get("steps")
        self._run.learn(
            framework="keras",
            source=f"keras on {keras.backend.backend()}",
            optimizer=type(self.model.optimizer).__name__,
            precision=keras.config.floatx(),
            planned_steps=epochs * steps if epochs and steps else None,
            steps_per_epoch=steps,
        )
        self._prepare()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin the running mean anew; Keras calls this."""
        self._epoch, self._batches, self._mean = epoch, 0, None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record a step; Keras calls this."""
        logs = logs or {}
        loss = self._unmeaned(batch, logs)
        before = self._gauge.held, self._since
        measured = self._measure()
        steps, seconds = self.params.get("steps"), self._run.seconds()
        epoch = self._epoch + (batch + 1) / steps if steps else None
        if measured or loss is None or not math.isfinite(loss):
            self._run.add(Step(self._number, loss, None, self._rate(), epoch=epoch, seconds=seconds, **measured))
        else:
            self._run.quick((self._number, loss, None, self._rate(), None, None, None, epoch, seconds))
        if self._run.nan != "ignore" and self._run.found is None:
            if loss is not None and not math.isfinite(loss):
                self._stop(self._blame(loss, logs, *before))
            elif not math.isfinite(measured.get("parameter_norm", 0.0)):
                bad = first_bad(self._parameters())
                detail = f"is not finite, at this step or one since step {before[1]}; the loss does not show it"
                self._stop(NonFinite(self._number, "parameter", bad, detail=detail))
        self._number += 1
        self._prepare()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the epoch's figures; Keras calls this."""
        told = {name: float(value) for name, value in (logs or {}).items()}
        held_out = {f"eval_{k.removeprefix('val_')}": v for k, v in told.items() if k.startswith("val_")}
        learned = {k: v for k, v in told.items() if not k.startswith("val_") and k not in ("loss", "learning_rate")}
        loss = held_out.pop("eval_loss", None)
        step = max(0, self._number - 1)
        self._run.add(
            Step(step, eval_loss=loss, epoch=epoch + 1.0, seconds=self._run.seconds(), metrics=held_out | learned)
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Write what is left; Keras calls this."""
        self._release()
        self._run.close()

    def _release(self) -> None:
        if self._keeper is not None:
            self._keeper.detach()
            self._keeper = None

    def _stop(self, found: NonFinite) -> None:
        if self._run.nan == "stop":
            self._release()
        self._run.trouble(found)

    def _blame(self, loss: float, logs: Mapping[str, Any], before: Mapping[str, Any], since: int) -> NonFinite:
        """Say where a loss that is not finite comes from: the batch, a layer, or a term of the loss."""
        parts = [name for name in logs if name.endswith("_loss") and not math.isfinite(float(logs[name]))]
        term = parts[0] if parts else "loss"
        if self._keeper is not None and self._keeper.known:
            inputs = self._keeper.inputs()
            found = self._keeper.blame(self._number)
            if found is None and inputs is not None:
                found = search(self.model, before, inputs, self._number, since)
            if found is not None:
                return found
        bad = first_bad(self._parameters())
        why = (
            ""
            if bad is None
            else "; the update has spread it to the parameters, so Keras shows no layer where it began"
        )
        return NonFinite(self._number, term, None, detail=f"is {loss}{why}")

    def _unmeaned(self, batch: int, logs: Mapping[str, Any]) -> float | None:
        """Return the loss of the batches since the last call: Keras tells the mean over the epoch so far."""
        if "loss" not in logs:
            return None
        mean, before, done = float(logs["loss"]), self._mean, self._batches
        self._mean, self._batches = mean, batch + 1
        if before is None or not math.isfinite(before) or not math.isfinite(mean) or batch + 1 <= done:
            return mean
        return (mean * (batch + 1) - before * done) / (batch + 1 - done)

    def _rate(self) -> float | None:
        """Return the learning rate, where that is cheap enough."""
        if self._purged() or not self._budget.allows("rate"):
            return None
        begun = _CLOCK()
        rate = float(keras.ops.convert_to_tensor(self.model.optimizer.learning_rate))
        self._budget.charge("rate", _CLOCK() - begun)
        return rate

    def _purged(self) -> bool:
        """Tell whether the model's variables are empty: on JAX, between steps, until someone asks for them."""
        first = next(iter(self.model.variables), None)
        return keras.backend.backend() == "jax" and first is not None and first._value is None

    def _parameters(self) -> dict[str, list[Any]]:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        named: dict[str, list[Any]] = {}
        for variable in self.model.trainable_variables:
            name = variable.path.rpartition("/")[0] or variable.path
            named.setdefault(name, []).append(_array(variable))
        return named

    def _prepare(self) -> None:
        due = self._number % self._every == 0 if self._every else self._number >= self._next
        self._remembered = due and self._budget.allows("layers")
        if self._remembered:
            begun = _CLOCK()
            self._gauge.remember(self._parameters())
            self._since = self._number
            self._spent = _CLOCK() - begun
            self._next = self._number + max(10, self._number // 200)

    def _measure(self) -> dict[str, Any]:
        if not self._remembered:
            return {}
        begun = _CLOCK()
        layers, size, moved = self._gauge.look(self._parameters())
        self._since = self._number + 1
        found: dict[str, Any] = {"layers": layers, "parameter_norm": size, "update_norm": moved}
        if keras.backend.backend() == "torch":
            held = [v.value.grad for v in self.model.trainable_variables if v.value.grad is not None]
            found["grad_norm"] = norm([g.detach().cpu().numpy() for g in held]) if held else None
        self._budget.charge("layers", _CLOCK() - begun + self._spent)
        return found


def _array(value: Any) -> Any:
    with warnings.catch_warnings():
        # TensorFlow's tensors do not know NumPy 2's way of asking for a copy.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(keras.ops.convert_to_numpy(value))
