"""The monitor of a plain PyTorch loop."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack, final

import numpy as np

from ..record import Record, Row, Step
from .run import Run, RunOptions, is_plain
from .samples import Reservoir
from .schedule import NEVER, Schedule
from .torch_losses import LateLosses, as_list, known, rate, share_of, values
from .trouble import NonFinite

_SAMPLES = 0.2
_NONE: dict[str, float] = {}
# Plain steps wait for each other: this many, or those of this many seconds.
_WINDOW = 64
_SECONDS, _now = 0.2, time.perf_counter


@final
class TorchMonitor:
    """Watches a plain PyTorch training loop: three lines, and the run is on record.

    Each step: loss, learning rate, wall time, and before the update whether the gradient is finite: some 10
    microseconds. As often as the budget allows: the gradient's norm, per-sample losses, and (at most every tenth step)
    norms of gradients, parameters and updates of each layer, shares of zero, dead and saturated activations, modes of
    norm and dropout layers; ``every=10`` measures whatever it costs; layers of a compiled model are not listened to. On
    an accelerator losses are read together, a few times a second, unless a step takes 5 ms.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.
    optimizer : torch.optim.Optimizer or sequence of them, optional
        Where the learning rate is read, and told before each update, so that a gradient that is not finite is caught
        before it spoils the parameters.
    watch : {"all", "loss"}
        "loss" touches neither model nor gradients.
    every : int, optional
        Look at the layers every so many steps, and at everything else each step, whatever it costs.
    budget : float, optional
        Largest share of the run's own time that watching may take: 0.05 by default, 0.01 with ``watch="loss"``.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`. With ``nan="stop"`` the error
        names step, layer and sample, and comes out of ``optimizer.step()`` if it is about a gradient, else out of
        ``monitor.step()``. Precision, optimiser and scale of the inputs are found out.

    Attributes
    ----------
    record : Record
        The run so far.

    Raises
    ------
    ImportError
        When PyTorch is not installed.
    ValueError
        For an unknown ``watch`` or ``nan``, or a ``budget`` or ``every`` that is not positive.

    Examples
    --------
    >>> import lossmith as lm, torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> x, y = torch.randn(32, 3), torch.randn(32, 1)
    >>> with lm.TorchMonitor(model, optimizer, live=False) as monitor:
    ...     for _ in range(3):
    ...         optimizer.zero_grad()
    ...         loss = torch.nn.functional.mse_loss(model(x), y)
    ...         loss.backward()
    ...         optimizer.step()
    ...         monitor.step(loss)
    >>> monitor.record.total, monitor.record.layer_names
    (3, ('Linear',))
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any = None,
        *,
        watch: str = "all",
        every: int | None = None,
        budget: float | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        if importlib.util.find_spec("torch") is None:
            raise ImportError("TorchMonitor needs PyTorch; pip install 'lossmith[torch]'")
        share = share_of(watch, budget)
        self._run = Run(**options)
        self._optimizers = as_list(optimizer)
        self._sole: Any = self._optimizers[0] if len(self._optimizers) == 1 else None
        self._sampling = Schedule({"samples": 1}, {"samples": _SAMPLES * share}, every=every)
        self._reservoir, self._late = Reservoir(), LateLosses()
        # What waits: the plain steps from `_number` on; and how many more may come so.
        self._waiting: list[Row] = []
        self._number = self._near = self._left = 0
        self._direct = self._one_rate = False
        self._due = 0.0
        self._looks: Any = None
        if watch == "all":
            from .torch_looks import Looks

            guarded = self._run.nan != "ignore"
            self._looks = Looks(
                model, self._optimizers, share=share, every=every, guarded=guarded, blame=self._blame_gradient
            )
        self._run.learn(source="TorchMonitor", **known(model, self._optimizers))
        self._prepare()

    @property
    def record(self) -> Record:
        """The run so far."""
        self._settle()
        self._read_late()
        return self._run.record

    def overhead(self) -> float:
        """Return the time spent watching as a share of the run's own, so far.

        Returns
        -------
        float
            As far as it can be seen from inside.
        """
        self._settle()
        if self._looks is None:
            return self._sampling.budget.overhead()
        booked: float = self._looks.plan.budget.overhead(self._number * self._looks.toll + self._sampling.budget.spent)
        return booked

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what the user calls ------------------------------------------------------------------------------

    def step(
        self,
        loss: Any,
        *,
        samples: Any = None,
        terms: Mapping[str, Any] | None = None,
        eval_loss: float | None = None,
        epoch: float | None = None,
        **metrics: float,
    ) -> None:
        """Record one step; call it after ``optimizer.step()``.

        Parameters
        ----------
        loss : Tensor or float
            Of this batch. One number for each sample is also taken: their mean is the loss.
        samples : Tensor or array, optional
            One loss for each sample of the batch.
        terms : mapping of str to Tensor or float, optional
            Parts of the loss, recorded as metrics; one that is not finite is named.
        eval_loss : float, optional
            On held-out rows, where it was computed at this step; see also `evaluate`.
        epoch : float, optional
            Passes over the data so far.
        **metrics : float
            Whatever else was measured.

        Raises
        ------
        NonFiniteError
            If the loss is not finite and ``nan="stop"``.
        """
        left = self._left
        if left and samples is None and eval_loss is None and terms is None and not metrics:
            # Nearly every step comes this way: it is to cost a microsecond or two, with caches that know nothing of it.
            try:
                value = loss.item()
            except (AttributeError, RuntimeError):  # a number already; one loss for each sample
                value = math.nan
            if value - value == 0.0:
                if self._looks is not None:
                    rate = self._looks.rate  # as it was at the update: a schedule may have gone on since
                else:
                    rate = self._sole.param_groups[0]["lr"] if self._one_rate else None
                if type(rate) is not float:
                    rate = self._rate()
                now, waiting = _now(), self._waiting
                place = self._number + len(waiting)
                waiting.append((place, value, None, rate, None, None, None, epoch, now - self._run.started))
                self._left = left - 1
                if left == 1 or now >= self._due:
                    self._settle()
                    self._arm()
                return
        self._settle()
        told = {k: float(v) for k, v in {**(terms or {}), **metrics}.items()}
        if not self._plainly(loss, samples, eval_loss, epoch, told):
            self._closely(loss, samples, terms or _NONE, eval_loss, epoch, told)
        self._direct = not isinstance(loss, (float, int)) and loss.numel() == 1 and bool(loss.is_cpu)
        self._arm()

    def evaluate(self, loss: float | None = None, **metrics: float) -> None:
        """Record what was measured on held-out rows after the last step.

        Parameters
        ----------
        loss : float, optional
            Mean loss on them.
        **metrics : float
            Other figures; recorded with the prefix ``eval_``.
        """
        named = {name if name.startswith("eval_") else f"eval_{name}": float(v) for name, v in metrics.items()}
        value = None if loss is None else float(loss)
        self._settle()
        self._read_late()
        self._run.add(Step(max(0, self._number - 1), eval_loss=value, seconds=self._run.seconds(), metrics=named))

    def learn(self, **facts: Any) -> None:
        """Fill in facts that are not known yet; what the user gave stays.

        Parameters
        ----------
        **facts : object
            Fields of `Facts`.
        """
        self._run.learn(**facts)

    def at(self, step: int) -> TorchMonitor:
        """Say the number of the next step, where not every step is recorded.

        Parameters
        ----------
        step : int
            From 0.

        Returns
        -------
        TorchMonitor
            Itself.
        """
        self._settle()
        self._number = step
        self._prepare()
        self._arm()
        return self

    def before_update(self, optimizer: Any) -> None:
        """Look at the gradient before an optimiser uses it; for loops that hide it behind ``optimizer.step(closure)``.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The one that will use it.

        Raises
        ------
        NonFiniteError
            If the gradient is not finite and ``nan="stop"``.
        """
        if self._looks is not None:
            self._looks.before_update(optimizer)

    def close(self) -> None:
        """Take the hooks off, and write what is left; a second call does nothing."""
        if self._looks is not None:
            self._looks.close()
        self._settle()
        self._read_late()
        self._run.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Hand on the plain steps that wait."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._run.take(waiting)
            self._number += len(waiting)

    def _arm(self) -> None:
        """Decide how many steps may come plainly, before something has to be done."""
        if self._number >= self._near:
            self._prepare()
        self._left = min(_WINDOW, self._near - self._number) if self._direct else 0
        self._due = _now() + _SECONDS
        groups = [] if self._looks is not None or self._sole is None else self._sole.param_groups
        self._one_rate = len(groups) == 1 and isinstance(groups[0].get("lr"), float)

    def _prepare(self) -> None:
        """Decide how closely to look at the step that comes."""
        if self._looks is None:
            self._near = NEVER if self._number else 0
            return
        self._looks.prepare(self._number)
        self._near = self._number if self._looks.norms else self._looks.plan.next

    def _plainly(self, loss: Any, samples: Any, eval_loss: Any, epoch: Any, told: dict[str, float]) -> bool:
        """Record a step that is not looked at closely; return False where that does not do."""
        number = self._number
        if number >= self._near or eval_loss is not None or not all(map(is_plain, told, told.values())):
            return False
        if samples is not None and not self._sampling.holds_off("samples", number):
            return False
        seconds = time.perf_counter() - self._run.started
        row = (number, 0.0, None, self._rate(), None, None, None, epoch, seconds, told)
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
        self._run.quick((number, value, *row[2:]))
        return True

    def _read_late(self, *, blame: bool = False) -> None:
        """Read the losses that still lie on an accelerator, and take in their steps."""
        for row in self._late.take():
            if math.isfinite(row[1]):
                self._run.quick(row)
                continue
            self._run.add(Step(*row))
            if blame:
                self._blame_loss(row[0], None, {})

    def _closely(self, loss: Any, samples: Any, terms: Any, eval_loss: Any, epoch: Any, told: dict[str, float]) -> None:
        """Record a step with whatever is due."""
        begun = time.thread_time()
        self._read_late(blame=True)
        number, self._number = self._number, self._number + 1
        sampled = self._sampling.due("samples", number)
        value, losses = values(loss, samples, sampled)
        measured: dict[str, Any] = {} if self._looks is None else self._looks.measure()
        if losses is not None and sampled:
            measured["samples"] = self._reservoir.watch(losses)
        measured["metrics"] = measured.get("metrics", {}) | told
        if number == 0:
            self._introduce_batch(loss)
        held_out = None if eval_loss is None else float(eval_loss)
        self._run.add(Step(number, value, held_out, self._rate(), epoch=epoch, seconds=self._run.seconds(), **measured))
        if self._looks is not None and self._looks.norms:
            self._looks.book(time.thread_time() - begun)
        elif losses is not None:
            self._sampling.budget.charge("samples", time.thread_time() - begun)
        if not math.isfinite(value):
            self._blame_loss(number, losses, {name: told[name] for name in terms})

    def _rate(self) -> float | None:
        looks = self._looks
        if looks is not None:
            seen: float | None = looks.rate
            if seen is not None:
                looks.rate = None
                return float(seen)
        if self._sole is not None:
            groups = self._sole.param_groups
            if len(groups) == 1 and "lr" in groups[0]:
                return float(groups[0]["lr"])
        return rate(self._optimizers)

    def _blame_gradient(self) -> None:
        if self._run.found is not None or self._run.nan == "ignore":
            return
        self._settle()
        found = self._looks.blame_gradient(self._number)
        if self._run.nan == "stop":
            norm, seconds = self._looks.gradient_norm(), self._run.seconds()
            bad = math.nan if norm is None else norm
            self._read_late()
            self._run.add(Step(self._number, learning_rate=self._rate(), grad_norm=bad, seconds=seconds))
        self._run.trouble(found)

    def _blame_loss(self, number: int, losses: Any, parts: Mapping[str, float]) -> None:
        if self._run.found is not None or self._run.nan == "ignore":
            return
        inside = None if self._looks is None else self._looks.search(number)
        term = next((name for name, value in parts.items() if not math.isfinite(value)), "loss")
        bad = None if losses is None else np.flatnonzero(~np.isfinite(losses))
        sample = int(bad[0]) if bad is not None and len(bad) else None
        self._run.trouble(inside or NonFinite(number, term, None, sample))

    def _introduce_batch(self, loss: Any) -> None:
        from .torch_probe import loss_name

        self._run.learn(loss=loss_name(loss), framework="torch")
        if self._looks is not None:
            self._run.learn(**self._looks.inputs())
