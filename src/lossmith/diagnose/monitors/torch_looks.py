"""What a PyTorch monitor looks at beside the loss: gradients before each update, and layers now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from .schedule import Schedule
from .torch_probe import Probe, watching_cost
from .trouble import NonFinite

# Processor time of this thread: on a busy machine a section of microseconds may wait for milliseconds.
CLOCK = time.thread_time
PARTS = {"norms": 0.08, "layers": 0.25}
"""Parts of a budget, each step's toll paid. The rest is for what cannot be seen from inside: caches found cold."""
_COLD = 2.5
# Keeping the gradient at the output takes some 20 microseconds: nothing beside a step as long as this.
_LONG = 5e-3


@final
class Looks:
    """Looks at a model while it is trained.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    optimizers : sequence of torch.optim.Optimizer
        Asked for the rate, and seen before each update.
    share : float
        Part of the run's time that watching may take.
    every : int or None
        Look at the layers every so many steps instead, and at the gradient's norm each step.
    guarded : bool
        Whether to watch for numbers that are not finite.
    blame : callable
        Called when the gradient is not finite, before it is used.

    Attributes
    ----------
    plan : Schedule
        When to look.
    toll : float
        Seconds that the watch takes at each step.
    norms : bool
        Whether the step that comes, or has just been made, is looked at.
    rate : float, Tensor or None
        Learning rate of the update just made, where it was seen.
    """

    def __init__(
        self,
        model: Any,
        optimizers: Sequence[Any],
        *,
        share: float,
        every: int | None,
        guarded: bool,
        blame: Callable[[], None],
    ) -> None:
        self.toll = _COLD * watching_cost() if guarded else 0.0
        parts = {kind: part * share for kind, part in PARTS.items()}
        self.plan = Schedule({"norms": 1, "layers": 10}, parts, every=every, toll=self.toll / share)
        self.norms = self._full = False
        self.rate: Any = None
        self._guarded, self._blame, self._share = guarded, blame, share
        # Number and time of the step last prepared, and the shortest mean of a step since then: first steps are slow.
        self._latest, self._shortest = (0, CLOCK()), math.inf
        self._aside = 0.0
        self._gradients: dict[int, float] | None = None
        self._probe = Probe(model, optimizers, self.on_update)
        self._few = self._probe.few() if guarded else None

    def prepare(self, number: int) -> None:
        """Decide how closely to look at the step that comes.

        Parameters
        ----------
        number : int
            Of that step.
        """
        begun = CLOCK()
        self._full = self.plan.due("layers", number)
        self.norms = self.plan.due("norms", number) or self._full
        long = self._pace(number, begun) > _LONG
        self._probe.follow(self._guarded or self._full, self._full or (long and self._guarded))
        if self._full:
            self._probe.prepare()
        self._aside = CLOCK() - begun

    def _pace(self, number: int, now: float) -> float:
        """Return what a step of the run takes, 0 where that is not known yet."""
        before, then = self._latest
        if number > before:
            self._shortest = min(self._shortest, max(0.0, now - then) / (number - before))
        self._latest = number, now
        return self._shortest if math.isfinite(self._shortest) else 0.0

    def on_update(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See an optimiser begin its update; it calls this at each step, so the usual case is kept short.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The one that does.
        args, kwargs : tuple, dict
            What its ``step`` was called with, itself included.
        """
        if (kwargs or len(args) > 1) and (kwargs.get("closure") or args[1:] not in ((), (None,))):
            return  # it is about to run the batch itself: there is no gradient of it yet
        self._probe.turn()
        few = self._few
        if few is None or self.norms:
            self.before_update(optimizer)
            return
        self.rate = optimizer.param_groups[0].get("lr")
        gradient = few.grad
        if gradient is not None:
            value = sum(gradient.tolist())
            if value - value != 0.0:
                self.before_update(optimizer)

    def before_update(self, optimizer: Any) -> None:
        """Look at the gradient just before an optimiser uses it.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The one that will.
        """
        self.rate = optimizer.param_groups[0].get("lr")
        if self.norms:
            begun = CLOCK()
            self._gradients = self._probe.gauge.gradients()
            sound = all(map(math.isfinite, self._gradients.values()))
            self._aside += CLOCK() - begun
        else:
            sound = not self._guarded or self._probe.sound()
        # A gradient scaler leaves this mark on fused optimisers and handles infinities itself.
        if not sound and getattr(optimizer, "found_inf", None) is None:
            self._blame()

    def gradient_norm(self) -> float | None:
        """Return the norm of the whole gradient, where it was measured before the update."""
        return None if self._gradients is None else self._probe.total(self._gradients)

    def measure(self) -> dict[str, Any]:
        """Return the fields of a step that tell of gradients and layers, as far as they are due."""
        if not self.norms:
            return {}
        gradients = self._probe.gauge.gradients() if self._gradients is None else self._gradients
        found: dict[str, Any] = {"grad_norm": self._probe.total(gradients) if gradients else None}
        if self._full:
            layers, size, moved, output = self._probe.gauge.measure(gradients)
            found |= {"layers": layers, "parameter_norm": size, "update_norm": moved}
            found["metrics"] = output | self._probe.modes()
            self._aside += self._probe.gauge.seconds()
        return found

    def book(self, seconds: float) -> None:
        """End a step that was looked at.

        Parameters
        ----------
        seconds : float
            What recording it took.
        """
        if self.norms:
            self.plan.budget.charge("layers" if self._full else "norms", seconds + self._aside)
        self.norms = self._full = False
        self._gradients, self._aside = None, 0.0

    def levy(self, seconds: float) -> None:
        """Let looks be rarer for what handing on plain steps took.

        Parameters
        ----------
        seconds : float
            Writing them down too.
        """
        self.plan.budget.levy(seconds / self._share)

    def told(self, parts: Mapping[str | int, Any], run: Callable[[], Any]) -> None:
        """Be told of a batch by a loop that does not call the model itself."""
        self._probe.told(parts, run)

    def rows(self) -> int | None:
        """Return how many rows the batch has that went in last."""
        return self._probe.rows()

    def search(self, step: int) -> NonFinite | None:
        """Look for the first number on the way forward that is not finite."""
        return self._probe.search(step)

    def blame_gradient(self, step: int) -> NonFinite:
        """Say where a gradient that is not finite comes from."""
        return self._probe.blame_gradient(step)

    def inputs(self) -> dict[str, Any]:
        """Return facts about the batch that went in last."""
        return self._probe.inputs()

    def close(self) -> None:
        """Take all hooks off."""
        self._probe.close()
