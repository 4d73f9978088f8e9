"""A PyTorch model under examination."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np

from lossmith.diagnose.plan import Loop, Plan, evaluating
from lossmith.diagnose.probes.hidden import hidden_parameters
from lossmith.diagnose.probes.patient import (
    RANGES,
    Activation,
    Array,
    Normaliser,
    Patient,
    Settings,
    Stride,
    Weight,
    arrays,
)


@final
class TorchPatient(Patient):
    """A torch model with its loss and data.

    Parameters
    ----------
    model : torch.nn.Module
        On the processor's memory or an accelerator's.
    loss : callable
        (output, target) -> losses of the samples, shape (n,). A mean is understood, but says less.
    task : str
        "regression", "binary" (targets 0/1, one logit a row) or "multiclass" (class codes).
    train, valid : tuple of array
        Inputs and targets as the model sees them.
    optimizer : torch.optim.Optimizer, optional
        Of the training.
    step : callable, optional
        (inputs, targets): the training's own step. Needs no optimizer to be given, but more is seen with both.
    batches : sequence of tuple of array, optional
        Some batches in the order in which training gets them.
    evaluate : callable, optional
        Model -> context in which it is evaluated; by default, evaluation mode.
    learning_rate : float, optional
        Largest rate of the training; by default the optimiser's present one.

    Examples
    --------
    >>> import numpy as np, torch
    >>> x, y = np.zeros((8, 3), np.float32), np.zeros(8, np.float32)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    >>> patient = TorchPatient(model, lambda out, y: (out - y) ** 2, "regression", (x, y), (x, y))
    >>> [w.matrix.shape for w in patient.weights()]
    [(1, 3)]
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Any],
        task: str,
        train: tuple[Any, Any],
        valid: tuple[Any, Any],
        *,
        optimizer: Any = None,
        step: Callable[[Any, Any], Any] | None = None,
        batches: Sequence[tuple[Any, Any]] = (),
        evaluate: Callable[[Any], contextlib.AbstractContextManager[None]] = evaluating,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(task, arrays(train), arrays(valid), [arrays(batch) for batch in batches])
        self.model, self.loss, self.optimizer, self.learning_rate = model, loss, optimizer, learning_rate
        self.own_step, self.evaluate = step, evaluate

    @classmethod
    def of(cls, plan: Plan, loop: Loop, batches: int = 12) -> TorchPatient:
        """Examine a training made from a plan.

        Parameters
        ----------
        plan : Plan
            How it was trained.
        loop : Loop
            Where it ended.
        batches : int
            Batches to look at.

        Returns
        -------
        TorchPatient
            Its steps are those of the plan.
        """

        def step(x: Any, y: Any) -> None:
            plan.step(loop, x, y)
            loop.number += 1

        x, y = (part.numpy() for part in plan.arrays(plan.train))
        order = plan.order(np.random.default_rng(plan.seed), np.asarray(plan.train[1]), min(plan.batch_size, len(y)))
        seen = [next(order) for _ in range(batches)]
        return cls(
            loop.model, plan.loss, plan.task, (x, y), plan.arrays(plan.valid), optimizer=loop.optimizer, step=step,
            batches=[(x[rows], y[rows]) for rows in seen], evaluate=plan.evaluate, learning_rate=plan.learning_rate,
        )  # fmt: skip

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Give everything back afterwards.

        Yields
        ------
        None
            Within, the model may be changed at will.
        """
        import torch

        state = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        grads = [(p, None if p.grad is None else p.grad.clone(), p.requires_grad) for p in self.model.parameters()]
        modes = [(module, module.training) for module in self.model.modules()]
        memory = None if self.optimizer is None else copy.deepcopy(self.optimizer.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(0)
            try:
                yield
            finally:
                self.model.load_state_dict(state)
                for p, grad, asks in grads:
                    p.grad = grad
                    p.requires_grad_(asks)
                for module, mode in modes:
                    module.training = mode
                if memory is not None:
                    self.optimizer.load_state_dict(memory)

    def vector(self) -> Array:
        """All parameters in one vector."""
        return self._flat([p.detach() for p in self.model.parameters()])

    def put(self, vector: Array) -> None:
        """Set all parameters from one vector."""
        import torch

        with torch.no_grad():
            for p, (_, place) in zip(self.model.parameters(), self.pieces(), strict=True):
                p.copy_(torch.as_tensor(vector[place], dtype=p.dtype, device=p.device).reshape(p.shape))

    def pieces(self) -> Sequence[tuple[str, slice]]:
        """Names and places of the parameters."""
        places, start = [], 0
        for name, p in self.model.named_parameters():
            places.append((name, slice(start, start + p.numel())))
            start += p.numel()
        return places

    def weights(self) -> Sequence[Weight]:
        """Weight matrices, in the order of the modules."""
        found = []
        for name, module in self.model.named_modules():
            weight = dict(module.named_parameters(recurse=False)).get("weight")
            if weight is not None and weight.ndim >= 2:
                bias = dict(module.named_parameters(recurse=False)).get("bias")
                matrix = weight.detach().reshape(len(weight), -1).double().cpu().numpy()
                found.append(Weight(name, matrix, None if bias is None else bias.detach().double().cpu().numpy()))
        return found

    def activations(self, x: Array) -> Sequence[Activation]:
        """Outputs of activation modules; functional ones are not seen."""
        found: list[Activation] = []

        def note(module: Any, inputs: Any, output: Any) -> None:
            kind = type(module).__name__.lower()
            values = output.detach().reshape(len(output), -1).double().cpu().numpy()
            found.append(Activation(kind, values, *RANGES[kind]))

        with self._hooked(lambda module: type(module).__name__.lower() in RANGES, note):
            self.outputs(x)
        return found

    def normalisers(self, x: Array) -> Sequence[Normaliser]:
        """Batch normalisations with their memory."""
        found: list[Normaliser] = []

        def note(module: Any, inputs: Any, output: Any) -> None:
            values = inputs[0].detach().double().cpu().numpy()
            columns = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
            kept = module.running_mean.double().cpu().numpy(), module.running_var.double().cpu().numpy()
            found.append(Normaliser(*kept, columns.mean(0), columns.var(0), float(module.momentum or 0.0)))

        with self._hooked(lambda module: getattr(module, "running_mean", None) is not None, note):
            self.outputs(x)
        return found

    def outputs(self, x: Array, mode: str = "eval") -> Array:
        """Model's outputs in a mode."""
        import torch

        inputs = self._tensor(x)
        with self._mode(mode), torch.no_grad():
            out: Array = self.model(inputs).detach().double().cpu().numpy()
        return out

    def losses(self, outputs: Array, y: Array) -> Array:
        """User's losses of given outputs."""
        import torch

        with torch.no_grad():
            return self._each(self.loss(self._tensor(outputs), self._target(y)), len(y))

    def output_gradient(self, outputs: Array, y: Array) -> Array:
        """Derivative by the outputs."""
        import torch

        out = self._tensor(outputs).requires_grad_(True)
        total = self.loss(out, self._target(y)).sum()
        if not total.requires_grad:
            return np.zeros_like(outputs)
        slope = torch.autograd.grad(total, out, allow_unused=True)[0]
        return np.zeros_like(outputs) if slope is None else slope.double().cpu().numpy()

    def gradient(self, x: Array, y: Array, mode: str = "eval") -> Array:
        """Gradient over all parameters."""
        import torch

        own = list(self.model.parameters())
        with self._mode(mode):
            total = self.loss(self.model(self._tensor(x)), self._target(y)).mean()
            asking = [p for p in own if p.requires_grad]
            if not total.requires_grad or not asking:
                return np.zeros(sum(p.numel() for p in own))
            found = dict(zip(map(id, asking), torch.autograd.grad(total, asking, allow_unused=True), strict=True))
        return self._flat([torch.zeros_like(p) if found.get(id(p)) is None else found[id(p)] for p in own])

    def stride(self, x: Array, y: Array) -> Stride | None:
        """One step of the user's own."""
        import torch

        if self.own_step is None and self.optimizer is None:
            return None
        before, numbers = self.vector(), torch.random.get_rng_state()
        modes: list[bool] = []
        handle = self.model.register_forward_pre_hook(lambda module, inputs: modes.append(bool(module.training)))
        (self.own_step or self._plain_step)(self._tensor(x), self._target(y))
        handle.remove()
        after = self.vector()
        gradient = self._flat([torch.zeros_like(p) if p.grad is None else p.grad for p in self.model.parameters()])
        self.put(before)
        torch.random.set_rng_state(numbers)
        reference = self.gradient(x, y, "train" if modes and modes[0] else "eval")
        self.put(after)
        return Stride(before, after, gradient, reference, modes[0] if modes else None)

    def settle(self) -> None:
        """Clear gradients and the optimiser's memory."""
        for p in self.model.parameters():
            p.grad = None
        if self.optimizer is not None:
            self.optimizer.state.clear()

    def reinitialise(self, seed: int) -> None:
        """Call ``reset_parameters`` of every module."""
        import torch

        torch.manual_seed(seed)
        for module in self.model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()

    def rehearse(self, x: Array, y: Array, steps: int, learning_rate: float, batch: int | None = None) -> None:
        """Train by the book with Adam."""
        import torch

        asking = [p for p in self.model.parameters() if p.requires_grad]
        if not asking:
            return
        optimizer = torch.optim.Adam(asking, lr=learning_rate)
        inputs, targets, rng = self._tensor(x), self._target(y), np.random.default_rng(0)
        with self._mode("train"):
            for number in range(steps):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * (1.0 - 0.9 * number / steps)
                rows = slice(None) if batch is None else torch.as_tensor(rng.choice(len(y), min(batch, len(y)), False))
                optimizer.zero_grad()
                total = self.loss(self.model(inputs[rows]), targets[rows]).mean()
                if not total.requires_grad:
                    return
                total.backward()
                optimizer.step()

    def settings(self) -> Settings:
        """Of optimiser and model."""
        own = list(self.model.parameters())
        frozen = float(np.mean([not p.requires_grad for p in own])) if own else 0.0
        rates = [
            float(rate)
            for m in self.model.modules()
            for rate in (getattr(m, "p", None), getattr(m, "rate", None))
            if isinstance(rate, float)
        ]
        dropout = max(rates, default=0.0)
        if self.optimizer is None:
            return Settings(np.nan, np.nan, np.nan, frozen, dropout, np.nan)
        groups = self.optimizer.param_groups
        moved = {id(p) for group in groups for p in group["params"]}
        rate = float(groups[0]["lr"])
        everything = own + hidden_parameters(self.model)
        decay, covered = float(groups[0].get("weight_decay", 0.0)), float(np.mean([id(p) in moved for p in everything]))
        peak = rate if self.learning_rate is None else self.learning_rate
        momentum = groups[0].get("momentum", groups[0].get("betas", (0.0,))[0])
        return Settings(rate, decay, covered, frozen, dropout, peak, float(momentum))

    def evaluates_in_training(self) -> bool:
        """Whether the user's evaluation leaves training mode on."""
        with self.evaluate(self.model):
            return bool(self.model.training)

    def _plain_step(self, x: Any, y: Any) -> None:
        self.model.train()
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).mean().backward()
        self.optimizer.step()

    @contextlib.contextmanager
    def _mode(self, mode: str) -> Iterator[None]:
        modes = [(module, module.training) for module in self.model.modules()]
        buffers = {k: v.clone() for k, v in self.model.named_buffers()} if mode != "eval" else {}
        try:
            if mode == "own":
                with self.evaluate(self.model):
                    yield
            else:
                self.model.train(mode == "train")
                yield
        finally:
            for name, buffer in self.model.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])
            for module, was in modes:
                module.training = was

    @contextlib.contextmanager
    def _hooked(self, wanted: Callable[[Any], bool], note: Callable[[Any, Any, Any], None]) -> Iterator[None]:
        handles = [m.register_forward_hook(note) for m in self.model.modules() if wanted(m)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @property
    def _like(self) -> Any:
        return next(self.model.parameters())

    def _tensor(self, x: Array) -> Any:
        import torch

        return torch.as_tensor(x, dtype=self._like.dtype, device=self._like.device)

    def _target(self, y: Array) -> Any:
        import torch

        kind = torch.int64 if self.task == "multiclass" else self._like.dtype
        return torch.as_tensor(y, dtype=kind, device=self._like.device)

    def _each(self, losses: Any, rows: int) -> Array:
        values: Array = losses.detach().double().cpu().numpy().reshape(-1)
        return values if len(values) == rows else np.full(rows, float(values.mean()))

    @staticmethod
    def _flat(tensors: Sequence[Any]) -> Array:
        import torch

        if not tensors:
            return np.zeros(0)
        flat: Array = torch.cat([t.detach().reshape(-1).double() for t in tensors]).cpu().numpy()
        return flat
