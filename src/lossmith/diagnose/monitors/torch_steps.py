"""The steps of a PyTorch run: put on record plainly, or with whatever is due."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, final

import numpy as np

from ..record import Record, Row, Step
from .run import Run, is_plain
from .samples import Reservoir
from .schedule import NEVER, Schedule
from .torch_losses import LateLosses, rate, values
from .trouble import NonFinite

_SAMPLES = 0.2
_CLOCK = time.thread_time

# Plain steps wait for each other: this many at most, and about this many seconds.
_WINDOW = 256
_SECONDS = 0.1


@final
class Steps:
    """Records the steps of one run.

    Parameters
    ----------
    run : Run
        Where they go.
    model : torch.nn.Module
        The model that is trained.
    optimizers : sequence of torch.optim.Optimizer
        Asked for the rate, and seen before each update.
    closely : bool
        Whether gradients and layers are looked at.
    share : float
        Part of the run's time that watching may take.
    every : int or None
        As of `lossmith.TorchMonitor`.

    Attributes
    ----------
    run : Run
        Where they go.
    looks : Looks or None
        What is looked at beside the loss.
    waiting : list of float
        Losses of plain steps, whose turn comes with `settle`; whoever trains appends to it.
    rates : list of (int, float or None)
        From which of them on which learning rate was in force.
    """

    def __init__(
        self, run: Run, model: Any, optimizers: Sequence[Any], *, closely: bool, share: float, every: int | None
    ) -> None:
        self.run, self._optimizers = run, optimizers
        self.waiting: list[float] = []
        self.rates: list[tuple[int, float | None]] = []
        self._latest, self._pace = 0.0, math.inf
        self._sampling = Schedule({"samples": 1}, {"samples": _SAMPLES * share}, every=every)
        self._reservoir, self._late = Reservoir(), LateLosses()
        self._number = self._near = 0
        self.looks: Any = None
        if closely:
            from .torch_looks import Looks

            guarded = run.nan != "ignore"
            self.looks = Looks(model, optimizers, share=share, every=every, guarded=guarded, blame=self._blame_gradient)
        self._prepare()

    @property
    def record(self) -> Record:
        """The run so far."""
        self.settle()
        self._read_late()
        return self.run.record

    def overhead(self) -> float:
        """Return the time spent watching as a share of the run's own, as far as it is seen from inside."""
        self.settle()
        if self.looks is None:
            return self._sampling.budget.overhead()
        booked: float = self.looks.plan.budget.overhead(self._number * self.looks.toll + self._sampling.budget.spent)
        return booked

    def room(self) -> int:
        """Make ready for the next step; return how many may come plainly, before something has to be done."""
        if self._number >= self._near:
            self._prepare()
        self._latest = self.run.seconds()
        return min(_WINDOW, self._near - self._number, max(1, int(_SECONDS / max(self._pace, 1e-6))))

    def rate(self) -> float | None:
        """Return the learning rate: that of the update just made where it was seen, else the one in force."""
        looks = self.looks
        if looks is not None:
            seen: float | None = looks.rate
            if seen is not None:
                looks.rate = None
                return float(seen)
        return rate(self._optimizers)

    def settle(self) -> None:
        """Hand on the plain steps that wait; their times lie evenly between those that are known."""
        waiting = self.waiting
        if not waiting:
            return
        begun, since, number = _CLOCK(), self._latest, self._number
        self._latest = self.run.seconds()
        count, self._pace = len(waiting), (self._latest - since) / len(waiting)
        seconds = np.linspace(since, self._latest, count + 1)[1:].round(6).tolist()
        speeds: list[float | None] = []
        for (start, speed), (end, _) in zip(self.rates, [*self.rates[1:], (count, None)], strict=True):
            speeds += [speed] * (end - start)
        self._number = number + count
        none = repeat(None)
        rows: list[Row] = list(
            zip(range(number, self._number), waiting, none, speeds, none, none, none, none, seconds, strict=False)
        )
        waiting.clear()
        self.rates.clear()
        self.run.take(rows)
        if self.looks is not None:
            self.looks.levy(_CLOCK() - begun)

    def add(
        self,
        loss: Any,
        samples: Any,
        terms: Mapping[str, Any] | None,
        eval_loss: float | None,
        epoch: float | None,
        metrics: Mapping[str, float],
    ) -> None:
        """Record a step, as of `lossmith.TorchMonitor.step`.

        Parameters
        ----------
        loss, samples, terms, eval_loss, epoch, metrics
            As there.
        """
        self.settle()
        told = {k: float(v) for k, v in {**(terms or {}), **metrics}.items()}
        if not self._plainly(loss, samples, eval_loss, epoch, told):
            self._closely(loss, samples, terms or {}, eval_loss, epoch, told)

    def evaluate(self, loss: float | None, named: Mapping[str, float]) -> None:
        """Record what was measured on held-out rows after the last step.

        Parameters
        ----------
        loss : float or None
            Mean loss on them.
        named : mapping of str to float
            Other figures.
        """
        self.settle()
        self._read_late()
        self.run.add(Step(max(0, self._number - 1), eval_loss=loss, seconds=self.run.seconds(), metrics=dict(named)))

    def at(self, step: int) -> None:
        """Go on with another number.

        Parameters
        ----------
        step : int
            Of the step that comes.
        """
        self.settle()
        self._number = step
        self._near = step

    def close(self) -> None:
        """Write what is left."""
        if self.looks is not None:
            self.looks.close()
        self.settle()
        self._read_late()
        self.run.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Decide how closely to look at the step that comes."""
        if self.looks is None:
            self._near = NEVER if self._number else 0
            return
        self.looks.prepare(self._number)
        self._near = self._number if self.looks.norms else self.looks.plan.next

    def _plainly(self, loss: Any, samples: Any, eval_loss: Any, epoch: Any, told: dict[str, float]) -> bool:
        """Record a step that is not looked at closely; return False where that does not do."""
        number = self._number
        if number >= self._near or eval_loss is not None or not all(map(is_plain, told, told.values())):
            return False
        if samples is not None and not self._sampling.holds_off("samples", number):
            return False
        seconds = self.run.seconds()
        row = (number, 0.0, None, self.rate(), None, None, None, epoch, seconds, told)
        if not isinstance(loss, (float, int)) and loss.numel() == 1 and not loss.is_cpu:
            self._number = number + 1
            self._late.add(loss, row)
            if self._late.ready(seconds):
                self._read_late(blame=True)
            return True
        value, _ = values(loss, None, False)
        if not math.isfinite(value):
            return False
        self._number = number + 1
        self.run.quick((number, value, *row[2:]))
        return True

    def _read_late(self, *, blame: bool = False) -> None:
        """Read the losses that still lie on an accelerator, and take in their steps."""
        for row in self._late.take():
            if math.isfinite(row[1]):
                self.run.quick(row)
                continue
            self.run.add(Step(*row))
            if blame:
                self._blame_loss(row[0], None, {})

    def _closely(self, loss: Any, samples: Any, terms: Any, eval_loss: Any, epoch: Any, told: dict[str, float]) -> None:
        """Record a step with whatever is due."""
        begun = _CLOCK()
        self._read_late(blame=True)
        number, self._number = self._number, self._number + 1
        sampled = self._sampling.due("samples", number)
        value, losses = values(loss, samples, sampled)
        measured: dict[str, Any] = {} if self.looks is None else self.looks.measure()
        if losses is not None and sampled:
            measured["samples"] = self._reservoir.watch(losses)
        measured["metrics"] = measured.get("metrics", {}) | told
        if number == 0:
            self._introduce_batch(loss)
        held_out = None if eval_loss is None else float(eval_loss)
        self.run.add(Step(number, value, held_out, self.rate(), epoch=epoch, seconds=self.run.seconds(), **measured))
        if self.looks is not None and self.looks.norms:
            self.looks.book(_CLOCK() - begun)
        elif losses is not None:
            self._sampling.budget.charge("samples", _CLOCK() - begun)
        if not math.isfinite(value):
            self._blame_loss(number, losses, {name: told[name] for name in terms})

    def _blame_gradient(self) -> None:
        if self.run.found is not None or self.run.nan == "ignore":
            return
        self.settle()
        found = self._named(self.looks.blame_gradient(self._number))
        if self.run.nan == "stop":
            norm, seconds = self.looks.gradient_norm(), self.run.seconds()
            bad = math.nan if norm is None else norm
            self._read_late()
            self.run.add(Step(self._number, learning_rate=self.rate(), grad_norm=bad, seconds=seconds))
        self.run.trouble(found)

    def _blame_loss(self, number: int, losses: Any, parts: Mapping[str, float]) -> None:
        if self.run.found is not None or self.run.nan == "ignore":
            return
        inside = None if self.looks is None else self.looks.search(number)
        if inside is not None and (self._optimizers or inside.term != "parameter"):
            self.run.trouble(inside)
            return
        term = next((name for name, value in parts.items() if not math.isfinite(value)), "loss")
        bad = None if losses is None else np.flatnonzero(~np.isfinite(losses))
        sample = int(bad[0]) if bad is not None and len(bad) else None
        found = self._named(NonFinite(number, term, None, sample))
        if inside is not None:
            # The optimiser was not given: this step's update may have spread to the parameters what came up elsewhere.
            spread = f"{found.detail}; {inside.detail} after the update (give the optimiser to be told before it)"
            found = replace(found, detail=spread)
        self.run.trouble(found)

    def _named(self, found: NonFinite) -> NonFinite:
        """Add what the variables of the training loop tell of a loss that is not finite."""
        if found.term in ("input", "parameter", "activation") or found.sample is not None:
            return found
        from .torch_scope import clue

        told = clue(None if self.looks is None else self.looks.rows())
        if told is None:
            return found
        term = told.term if found.term in ("loss", "gradient") else found.term
        return replace(found, term=term, layer=None, sample=told.sample, detail=told.detail)

    def _introduce_batch(self, loss: Any) -> None:
        from .torch_probe import loss_name

        self.run.learn(loss=loss_name(loss), framework="torch")
        if self.looks is not None:
            self.run.learn(**self.looks.inputs())
