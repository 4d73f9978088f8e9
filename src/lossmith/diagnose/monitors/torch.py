"""The monitor of a plain PyTorch loop."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack, final

import numpy as np

from ..record import Record
from .run import Run, RunOptions
from .torch_losses import as_list, known, share_of
from .torch_steps import Steps

_UNKNOWN = object()


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
        _must_be_torch(model, optimizer)
        share = share_of(watch, budget)
        run = Run(**options)
        optimizers = as_list(optimizer)
        run.learn(source="TorchMonitor", **known(model, optimizers))
        self._steps = Steps(run, model, optimizers, closely=watch == "all", share=share, every=every)
        self._looks = self._steps.looks
        self._rateless = not optimizers
        self._sole: Any = optimizers[0] if len(optimizers) == 1 else None
        # What waits: losses of the latest steps, at one learning rate; and how many more may come so.
        self._waiting = self._steps.waiting
        self._rate: Any = _UNKNOWN
        self._left, self._direct, self._closed = 0, False, False

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._steps.record

    def overhead(self) -> float:
        """Return the time spent watching as a share of the run's own, so far.

        Returns
        -------
        float
            As far as it can be seen from inside.
        """
        return self._steps.overhead()

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
        TypeError
            If the loss is neither a tensor nor a number.
        """
        left = self._left
        if left and samples is None and eval_loss is None and terms is None and epoch is None and not metrics:
            # Nearly every step comes this way, with caches that know nothing of it: what can wait is left for later.
            try:
                value = loss.item()
            except (AttributeError, RuntimeError):  # a number already; one loss for each sample
                value = math.nan
            if value - value == 0.0:
                looks = self._looks  # the rate as it was at the update: a schedule may have gone on since
                rate = self._sole.param_groups[0]["lr"] if looks is None else looks.rate
                if rate is self._rate or self._changed(rate):
                    self._waiting.append(value)
                    self._left = left - 1
                    if left == 1:
                        self._steps.settle()
                        self._arm()
                    return
        loss = loss if isinstance(loss, (float, int)) else _loss_of(loss)
        if self._closed:
            warnings.warn("the monitor is closed: this step is not recorded; make a new one to go on", stacklevel=2)
            return
        self._steps.add(loss, samples, terms, eval_loss, epoch, metrics)
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
        self._steps.evaluate(value, named)

    def learn(self, **facts: Any) -> None:
        """Fill in facts that are not known yet; what the user gave stays.

        Parameters
        ----------
        **facts : object
            Fields of `Facts`.
        """
        self._steps.run.learn(**facts)

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
        self._steps.at(step)
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

    def before_batch(self, parts: Mapping[str | int, Any], run: Callable[[], Any]) -> None:
        """Keep hold of a batch, so that a row of it can be named; for loops that do not call the model itself.

        Parameters
        ----------
        parts : mapping of str or int to object
            What the batch holds, targets too, by name or place.
        run : callable
            Runs the batch through the model once more, without side effects; returns parts of the loss by
            name, or None.
        """
        if self._looks is not None:
            self._looks.told(parts, run)

    def close(self) -> None:
        """Take the hooks off, and write what is left; a second call does nothing, and steps to come are left out."""
        if not self._closed:
            self._steps.close()
        self._left, self._closed = 0, True

    # --- inside -------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Decide how many steps may come plainly, before something has to be done."""
        room, sole = self._steps.room(), self._sole
        plain = self._looks is not None or (sole is not None and len(sole.param_groups) == 1)
        self._left = room if plain and self._direct and not self._closed else 0
        self._rate = _UNKNOWN

    def _changed(self, rate: Any) -> bool:
        """Take in another learning rate; return False if it has to be asked for."""
        if type(rate) is not float and (rate is not None or not self._rateless):
            return False
        self._rate = rate
        self._steps.rates.append((len(self._waiting), rate))
        return True


def _must_be_torch(model: Any, optimizer: Any) -> None:
    import torch

    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"TorchMonitor takes a torch.nn.Module, then its optimizer; the model is {type(model).__name__}"
        )
    for each in as_list(optimizer):
        if isinstance(each, (str, torch.nn.Module)):
            raise TypeError(f"TorchMonitor takes the optimizer itself, not {type(each).__name__}")


def _loss_of(loss: Any) -> Any:
    import torch

    if isinstance(loss, np.generic):
        return loss.item()
    if not isinstance(loss, torch.Tensor):
        raise TypeError(f"step takes the loss as a tensor or a number, not {type(loss).__name__}")
    return loss
