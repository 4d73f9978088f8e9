"""The monitor of a plain PyTorch loop."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, final

import numpy as np

from ..record import LIMIT, Facts, Record, Step
from .budget import Budget
from .run import Run
from .samples import Reservoir
from .trouble import NonFinite

# Processor time of this thread: on a busy machine a section of microseconds may wait for milliseconds.
_CLOCK = time.thread_time
# Parts of the whole budget: the loss itself, the watch for numbers that are not finite, and what is looked at. They
# leave a quarter for what cannot be seen from inside: calls, and caches that the run finds cold.
_PARTS = {"base": 0.25, "guard": 0.25, "norms": 0.1, "samples": 0.05, "layers": 0.1}
_COLD = 4
_WINDOW = 32
_SHARES = {"all": 0.05, "loss": 0.01}
_GAP = 10


@final
class TorchMonitor:
    """Watches a plain PyTorch training loop: three lines, and the run is on record.

    Each step: loss, learning rate, wall time, and whether the gradient is still finite. As often as the budget
    allows: the gradient's norm, per-sample losses, and (at most every tenth step) norms of gradients, parameters and
    updates of each layer, shares of zero, dead and saturated activations, and modes of norm and dropout layers. Where
    a step takes well under a millisecond, a budget of 5 % does not bear even the first list at each step: some steps
    are then left out, and a bad number may be named after the update; ``every=10`` measures whatever it costs.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.
    optimizer : torch.optim.Optimizer or sequence of them, optional
        Where the learning rate is read, and told before each update, so that a gradient that is not finite is caught
        before it spoils the parameters.
    path : str or Path, optional
        JSON lines to write while the run goes on; `lossmith watch` follows them.
    watch : {"all", "loss"}
        "loss" touches neither model nor gradients.
    every : int, optional
        Look at the layers every so many steps, and at everything else each step, whatever it costs.
    budget : float, optional
        Largest share of the run's own time that watching may take: 0.05 by default, 0.01 with ``watch="loss"``.
    nan : {"stop", "warn", "ignore"}
        What to do at the first number that is not finite. "stop" raises `NonFiniteError` that names step, layer and
        sample, out of ``optimizer.step()`` if it is a gradient, else out of ``monitor.step()``.
    live : bool, optional
        Draw while the run goes on; by default on a terminal and in a notebook.
    facts : Facts, optional
        What is known of the run, such as the task; precision, optimiser and scale of the inputs are found out.
    limit : int
        Steps kept in memory.

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
        path: str | os.PathLike[str] | None = None,
        watch: str = "all",
        every: int | None = None,
        budget: float | None = None,
        nan: str = "stop",
        live: bool | None = None,
        facts: Facts | None = None,
        limit: int = LIMIT,
    ) -> None:
        if importlib.util.find_spec("torch") is None:
            raise ImportError("TorchMonitor needs PyTorch; pip install 'lossmith[torch]'")
        share = _share(watch, budget)
        if every is not None and every < 1:
            raise ValueError(f"every={every}: give the number of steps between two looks at the layers, at least 1")
        self._run = Run(facts, path=path, live=live, nan=nan, limit=limit)
        self._optimizers = _as_list(optimizer)
        self._every = every
        parts = _PARTS if watch == "all" else {"base": 0.4, "samples": 0.35}
        self._budget = Budget({kind: part * (math.inf if every else share) for kind, part in parts.items()})
        self._reservoir = Reservoir()
        self._number = 0
        self._next_layers = 0
        self._prepared = 0.0
        self._guarding = 0.0
        self._call_cost = 1e-6
        self._pause = self._quiet = 0
        self._full = self._norms = self._guarded = False
        self._gradients: dict[int, float] | None = None
        self._lr: float | None = None
        self._probe: Any = None
        if watch == "all":
            from .torch_probe import Probe, hook_cost

            self._probe = Probe(model, self._optimizers, self._before_update)
            self._call_cost = hook_cost()
        self._introduce(model)
        self._plan()

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._run.record

    def overhead(self) -> float:
        """Return the time spent watching as a share of the run's own, so far.

        Returns
        -------
        float
            Measured from inside: it does not see what hooks cost PyTorch itself.
        """
        return self._budget.overhead()

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
        number, self._number = self._number, self._number + 1
        value, losses = _values(loss, samples)
        sound = math.isfinite(value)
        if self._pause and sound and not (self._full or metrics or terms is not None or eval_loss is not None):
            self._pause -= 1
            if self._number >= self._quiet:
                self._plan()
            return
        begun = _CLOCK()
        parts = {} if terms is None else {name: float(part) for name, part in terms.items()}
        aside = self._budget.spent
        measured = self._measure(losses) if self._norms or losses is not None else {}
        if metrics or parts:
            measured["metrics"] = measured.get("metrics", {}) | parts | {k: float(v) for k, v in metrics.items()}
        held_out = None if eval_loss is None else float(eval_loss)
        seconds = self._run.seconds()
        step = Step(number, value, held_out, self._rate(), epoch=epoch, seconds=seconds, **measured)
        if number == 0:
            self._introduce_batch(loss)
        self._run.add(step)
        self._budget.charge("base", _CLOCK() - begun - (self._budget.spent - aside) + _COLD * self._call_cost)
        self._pause = self._budget.pause("base", self._number)
        self._plan()
        if not sound:
            self._blame_loss(number, losses, parts)

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
        self._number = step
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
        if self._probe is not None:
            self._before_update(rate([optimizer]), judged=False)

    def close(self) -> None:
        """Take the hooks off, and write what is left; a second call does nothing."""
        if self._probe is not None:
            self._probe.close()
        self._run.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Decide how closely to look at the step that comes."""
        self._gradients = self._lr = None
        if self._probe is None:
            self._quiet = self._number + _WINDOW
            return
        self._quiet = 0
        if self._number % _WINDOW == 0:
            self._plan_guard()
        self._full = self._due()
        self._norms = self._full or (not self._pause and self._budget.allows("norms"))
        self._probe.follow(self._full or self._guarded)
        if not (self._full or self._norms or self._guarded):
            # Nothing to do before the next window: paused steps need not plan.
            self._quiet = (self._number // _WINDOW + 1) * _WINDOW
            if self._next_layers > self._number:
                self._quiet = min(self._quiet, self._next_layers)
        if self._full:
            begun = _CLOCK()
            self._probe.gauge.prepare()
            self._prepared = _CLOCK() - begun
            self._next_layers = self._number + max(_GAP, self._number // 200)

    def _plan_guard(self) -> None:
        """Book what the watch for bad numbers cost over the last steps; decide whether the next ones can bear it."""
        if self._number and self._guarded:
            unseen = _COLD * _WINDOW * self._call_cost
            self._budget.charge("guard", self._probe.seconds() + unseen + self._guarding)
        self._guarding = 0.0
        self._guarded = self._run.nan != "ignore" and self._budget.allows("guard")

    def _due(self) -> bool:
        if self._every is not None:
            return self._number % self._every == 0
        return self._number >= self._next_layers and self._budget.allows("layers")

    def _before_update(self, rate: float | None, judged: bool) -> None:
        """Look at the gradient just before the optimiser uses it."""
        begun = _CLOCK()
        self._lr = rate
        if self._norms:
            self._gradients = self._probe.gauge.gradients()
            sound = all(map(math.isfinite, self._gradients.values()))
            self._budget.charge("norms", _CLOCK() - begun)
        else:
            sound = not self._guarded or self._probe.sound()
            self._guarding += _CLOCK() - begun
        if not sound and not judged and self._run.found is None and self._run.nan != "ignore":
            self._blame_gradient()

    def _measure(self, losses: Any) -> dict[str, Any]:
        """Return the fields of a step that cost something, as far as they are due."""
        found: dict[str, Any] = {}
        if losses is not None and self._budget.allows("samples"):
            begun = _CLOCK()
            found["samples"] = self._reservoir.watch(losses)
            self._budget.charge("samples", _CLOCK() - begun)
        if not self._norms:
            return found
        begun = _CLOCK()
        gradients = self._probe.gauge.gradients() if self._gradients is None else self._gradients
        found["grad_norm"] = self._probe.total(gradients) if gradients else None
        if not self._full:
            self._budget.charge("norms", _CLOCK() - begun)
            return found
        layers, size, moved, output = self._probe.gauge.measure(gradients)
        found |= {"layers": layers, "parameter_norm": size, "update_norm": moved}
        found["metrics"] = output | self._probe.modes()
        self._budget.charge("layers", _CLOCK() - begun + self._prepared + self._probe.gauge.seconds())
        return found

    def _rate(self) -> float | None:
        return self._lr if self._lr is not None else rate(self._optimizers)

    def _blame_gradient(self) -> None:
        found = self._probe.blame_gradient(self._number)
        if self._run.nan == "stop":
            norm = math.nan if self._gradients is None else self._probe.total(self._gradients)
            seconds = self._run.seconds()
            self._run.add(Step(self._number, learning_rate=self._lr, grad_norm=norm, seconds=seconds))
        self._run.trouble(found)

    def _blame_loss(self, number: int, losses: Any, parts: Mapping[str, float]) -> None:
        if self._run.found is not None or self._run.nan == "ignore":
            return
        inside = None if self._probe is None else self._probe.search(number)
        term = next((name for name, value in parts.items() if not math.isfinite(value)), "loss")
        bad = None if losses is None else np.flatnonzero(~np.isfinite(losses))
        sample = int(bad[0]) if bad is not None and len(bad) else None
        self._run.trouble(inside or NonFinite(number, term, None, sample))

    def _introduce(self, model: Any) -> None:
        dtype = next((str(p.dtype).removeprefix("torch.") for p in model.parameters()), None)
        names = " + ".join(type(o).__name__ for o in self._optimizers)
        self._run.learn(optimizer=names or None, precision=dtype, source="TorchMonitor")

    def _introduce_batch(self, loss: Any) -> None:
        from .torch_probe import loss_name

        self._run.learn(loss=loss_name(loss), framework="torch")
        if self._probe is not None:
            self._run.learn(**self._probe.inputs())


def rate(optimizers: Sequence[Any]) -> float | None:
    """Return the largest learning rate in force.

    Parameters
    ----------
    optimizers : sequence of torch.optim.Optimizer
        Any number.

    Returns
    -------
    float or None
        None where there is none.
    """
    rates = [float(group["lr"]) for o in optimizers for group in o.param_groups if "lr" in group]
    return max(rates) if rates else None


def _share(watch: str, budget: float | None) -> float:
    if watch not in _SHARES:
        raise ValueError(f"watch={watch!r}: give 'all' or 'loss'")
    if budget is not None and not budget > 0:
        raise ValueError(f"budget={budget}: give the largest share of the run's time, such as 0.05")
    return _SHARES[watch] if budget is None else budget


def _as_list(optimizer: Any) -> list[Any]:
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]


def _values(loss: Any, samples: Any) -> tuple[float, Any]:
    """Return the loss as a number, and per-sample losses as a float64 array or None."""
    if isinstance(loss, (float, int)):
        return float(loss), _array(samples)
    if loss.numel() > 1:
        losses = _array(loss)
        return float(losses.mean()), losses
    return float(loss.item()), _array(samples)


def _array(samples: Any) -> Any:
    if samples is None:
        return None
    given = samples if isinstance(samples, np.ndarray) else samples.detach().double().cpu().numpy()
    return np.asarray(given, dtype=np.float64).ravel()
