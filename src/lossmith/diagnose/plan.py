"""A training as a value: everything that a remedy may change, and a loop that runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]
Order = Callable[[np.random.Generator, Array, int], Iterator[Array]]
"""(random numbers, training targets, batch size) -> the row numbers of one batch after another, without end."""


@final
@dataclass
class Loop:
    """A training under way: what one step works on.

    Attributes
    ----------
    model, optimizer : object
        Of torch.
    loss : callable
        (output, target) -> losses of the samples.
    clip : float or None
        Largest norm of the gradient.
    number : int
        Of the step, from 0.
    """

    model: Any
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    clip: float | None = None
    number: int = 0


Step = Callable[[Loop, Any, Any], Any]
"""(loop, inputs, targets) -> losses of the samples; moves the parameters."""


def reference_step(loop: Loop, x: Any, y: Any) -> Any:
    """Take one step as it should be taken: training mode, fresh gradient, backward, step.

    Parameters
    ----------
    loop : Loop
        The training.
    x, y : Tensor
        One batch.

    Returns
    -------
    Tensor
        Losses of the samples, without graph.
    """
    import torch

    loop.model.train()
    loop.optimizer.zero_grad()
    losses = loop.loss(loop.model(x), y)
    losses.mean().backward()
    if loop.clip is not None:
        torch.nn.utils.clip_grad_norm_(loop.model.parameters(), loop.clip)
    loop.optimizer.step()
    return losses.detach()


def shuffled(rng: np.random.Generator, y: Array, size: int) -> Iterator[Array]:
    """Give batches of rows in a new random order each pass; a rest smaller than a batch waits for the next pass.

    Parameters
    ----------
    rng : numpy Generator
        Source of the order.
    y : ndarray, shape (n,)
        Training targets; only their number counts here.
    size : int
        Rows of a batch.

    Yields
    ------
    ndarray of int
        Row numbers.
    """
    while True:
        rows = rng.permutation(len(y))
        for start in range(0, max(len(y) - size, 0) + 1, size):
            yield rows[start : start + size]


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a torch model into evaluation, without gradients; training mode returns afterwards.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def adam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    """Make torch's AdamW.

    Parameters
    ----------
    parameters : iterable of Tensor
        What it moves.
    learning_rate, weight_decay : float
        Its settings.

    Returns
    -------
    torch.optim.Optimizer
        The optimiser.
    """
    import torch

    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)


@final
@dataclass(frozen=True)
class Plan:
    """A training that can be repeated, and changed by a remedy.

    Attributes
    ----------
    build : callable
        () -> a new torch model.
    loss : callable
        (output, target) -> losses of the samples, shape (n,).
    train, valid : tuple of ndarray
        Inputs and targets to learn from, and held out.
    task : str
        "regression", "binary" (targets 0/1, one logit) or "multiclass" (class codes, k logits).
    read : callable, optional
        Output -> predictions in the target's unit, or probabilities of the classes (of class 1 if binary); by default
        the output itself, its sigmoid or its softmax.
    inputs, targets : callable, optional
        Arrays -> arrays: what is done to inputs and to targets on their way into the training.
    optimizer : callable
        (parameters, learning rate, weight decay) -> a torch optimiser.
    learning_rate, weight_decay : float
        Passed on to it.
    schedule : callable, optional
        Step number -> factor of the learning rate.
    clip : float, optional
        Largest norm of the gradient.
    batch_size, steps, seed : int
        Rows of a step, how many of them, and where random numbers begin.
    order : callable
        See `shuffled`.
    step : callable
        See `reference_step`.
    evaluate : callable
        Model -> context in which it is evaluated.
    prepare : tuple of callable
        Each is shown the new model before training: initialisation, freezing.

    Examples
    --------
    >>> import numpy as np, torch
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> plan = Plan(
    ...     build=lambda: torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0)),
    ...     loss=lambda out, y: (out - y) ** 2,
    ...     train=(x, x[:, 0]), valid=(x, x[:, 0]), task="regression", learning_rate=0.1, steps=50,
    ... )
    >>> train(plan).number
    50
    """

    build: Callable[[], Any]
    loss: Callable[[Any, Any], Any]
    train: tuple[Array, Array]
    valid: tuple[Array, Array]
    task: str
    read: Callable[[Any], Any] | None = None
    inputs: Callable[[Array], Array] | None = None
    targets: Callable[[Array], Array] | None = None
    optimizer: Callable[[Any, float, float], Any] = adam
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    schedule: Callable[[int], float] | None = None
    clip: float | None = None
    batch_size: int = 32
    steps: int = 300
    seed: int = 0
    order: Order = shuffled
    step: Step = reference_step
    evaluate: Callable[[Any], contextlib.AbstractContextManager[None]] = evaluating
    prepare: tuple[Callable[[Any], None], ...] = ()

    def arrays(self, part: tuple[Array, Array]) -> tuple[Any, Any]:
        """Turn one part of the data into the tensors that training sees.

        Parameters
        ----------
        part : tuple of ndarray
            ``plan.train`` or ``plan.valid``.

        Returns
        -------
        tuple of Tensor
            Inputs and targets.
        """
        import torch

        x, y = part
        x = x if self.inputs is None else self.inputs(x)
        y = y if self.targets is None else self.targets(y)
        codes = np.asarray(y, np.int64) if self.task == "multiclass" else np.asarray(y, np.float32)
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)), torch.from_numpy(codes)

    def start(self) -> Loop:
        """Build the model and its optimiser.

        Returns
        -------
        Loop
            At step 0.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = self.build()
            for change in self.prepare:
                change(model)
        return Loop(
            model, self.optimizer(model.parameters(), self.learning_rate, self.weight_decay), self.loss, self.clip
        )


Watch = Callable[[Loop, Any, Any, Any], None]
"""Shown (loop, inputs, targets, losses of the samples) after each step."""


def train(plan: Plan, watch: Watch | None = None, loop: Loop | None = None) -> Loop:
    """Run a plan to its end.

    Parameters
    ----------
    plan : Plan
        What to do.
    watch : callable, optional
        Shown every step.
    loop : Loop, optional
        A training to go on with; a new one by default.

    Returns
    -------
    Loop
        With the trained model.
    """
    import torch

    loop = plan.start() if loop is None else loop
    x, y = plan.arrays(plan.train)
    batches = plan.order(np.random.default_rng(plan.seed), np.asarray(plan.train[1]), min(plan.batch_size, len(y)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        for _ in range(plan.steps):
            rows = torch.from_numpy(np.asarray(next(batches), np.int64))
            if plan.schedule is not None:
                for group in loop.optimizer.param_groups:
                    group["lr"] = plan.learning_rate * plan.schedule(loop.number)
            losses = plan.step(loop, x[rows], y[rows])
            if watch is not None:
                watch(loop, x[rows], y[rows], losses)
            loop.number += 1
    return loop
