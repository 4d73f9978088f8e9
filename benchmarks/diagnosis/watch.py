"""Record a run the way a monitor does: every step the scalars, now and then layers and held-out rows."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from torch import nn

from lossmith.diagnose.plan import Loop, Plan
from lossmith.diagnose.record import Facts, Layer, Record, Step

from .setup import Setup

EVERY = 10
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
CURVED = (nn.Tanh, nn.Sigmoid, nn.Hardsigmoid)
ACTIVATIONS = (nn.ReLU, nn.SiLU, nn.GELU, nn.Identity, *CURVED)


def facts_of(setup: Setup, plan: Plan) -> Facts:
    x, y = plan.train
    spread = x.std(0)
    known = setup.task != "regression"
    if setup.manner is not None and not setup.manner.informed:
        return _overheard(setup, plan)
    return Facts(
        task=setup.task,
        loss=setup.loss_name,
        optimizer=setup.optimizer_name,
        classes=setup.classes or None,
        class_counts=tuple(int(c) for c in np.bincount(y, minlength=setup.classes)) if known else (),
        rows=len(y),
        batch_size=plan.batch_size,
        planned_steps=plan.steps,
        steps_per_epoch=max(1, len(y) // plan.batch_size),
        target_mean=None if known else float(y.mean()),
        target_std=None if known else float(y.std()),
        input_mean_max=float(np.abs(x.mean(0)).max()),
        input_std_max=float(spread.max()),
        input_std_min=float(spread[spread > 0].min(initial=np.inf)) if (spread > 0).any() else 0.0,
        precision=setup.precision,
        framework="torch",
        source="benchmarks/diagnosis",
    )


def _overheard(setup: Setup, plan: Plan) -> Facts:
    """Only what a monitor sees by itself: the optimiser and the first batch."""
    x = plan.train[0][: plan.batch_size]
    spread = x.std(0)
    return Facts(
        loss=setup.loss_name,
        optimizer=setup.optimizer_name,
        batch_size=plan.batch_size,
        input_mean_max=float(np.abs(x.mean(0)).max()),
        input_std_max=float(spread.max()),
        input_std_min=float(spread.min()),
        precision=setup.precision,
        framework="torch",
        source="benchmarks/diagnosis",
    )


def _flat(tensors: list[Any]) -> Any:
    return torch.cat([t.reshape(-1) for t in tensors])


class Recorder:
    """Shown every step of `train`."""

    def __init__(self, setup: Setup, plan: Plan, loop: Loop) -> None:
        self.record, self.plan = Record(facts_of(setup, plan)), plan
        self.valid = plan.arrays(plan.valid)
        self.parameters = list(loop.model.parameters())
        self.layers = [(n, m) for n, m in loop.model.named_modules() if isinstance(m, WEIGHTED)]
        self.old = _flat(self.parameters).detach()
        self.losses: deque[float] = deque(maxlen=512)
        self.curve: list[float] = []  # on held-out rows, whether logged or not
        manner = setup.manner
        self.look = EVERY if manner is None else manner.look
        self.evaluates, self.sampled, self.layered = (
            (True, True, True) if manner is None else (manner.evaluates, manner.sampled, manner.layered)
        )

    def __call__(self, loop: Loop, x: Any, y: Any, losses: Any) -> None:
        number = loop.number
        rich = number % self.look == 0 or number == self.plan.steps - 1
        new = _flat(self.parameters).detach()
        grads = [p.grad for p in self.parameters if p.grad is not None]
        each = losses.double().numpy()
        self.losses.extend(each.tolist())
        self.record.add(self._step(loop, x, each, new, grads, rich))
        self.old = new

    def _step(self, loop: Loop, x: Any, each: Any, new: Any, grads: list[Any], rich: bool) -> Step:
        eval_loss, metrics = self._held_out(loop) if rich else (None, {})
        if eval_loss is not None:
            self.curve.append(eval_loss)
        if not self.evaluates:
            eval_loss, metrics = None, {}
        return Step(
            loop.number,
            loss=float(each.mean()),
            eval_loss=eval_loss,
            learning_rate=float(loop.optimizer.param_groups[0]["lr"]),
            grad_norm=float(_flat(grads).norm()) if grads else 0.0,
            parameter_norm=float(new.norm()),
            update_norm=float((new - self.old).norm()),
            epoch=loop.number * len(each) / len(self.plan.train[1]),
            metrics=metrics,
            layers=self._layers(loop, x, new) if rich and self.layered else {},
            samples=self._samples(each) if rich and self.sampled else {},
        )

    def _samples(self, each: Any) -> dict[str, float]:
        kept = np.array(self.losses)
        top, total = np.sort(kept)[-max(1, len(kept) // 100) :], np.abs(kept).sum()
        return {
            "top1_share": float(each.max() / each.sum()) if each.sum() > 0 else 0.0,
            "max": float(each.max()),
            "median": float(np.median(each)),
            "reservoir_top1_share": float(top.sum() / total) if total > 0 else 0.0,
        }

    def _held_out(self, loop: Loop) -> tuple[float, dict[str, float]]:
        x, y = self.valid
        with torch.random.fork_rng(devices=[]), self.plan.evaluate(loop.model):
            out = loop.model(x)
            loss = float(self.plan.loss(out, y).double().mean())
        if self.plan.task == "regression":
            return loss, {"eval_rmse": float((out - y).double().square().mean().sqrt())}
        said = out.argmax(1) if out.ndim == 2 else (out > 0).long()
        right = (said == y.long()).double()
        recalls = {f"eval_recall_{int(c)}": float(right[y == c].mean()) for c in torch.unique(y)}
        return loss, {"eval_accuracy": float(right.mean()), **recalls}

    def _layers(self, loop: Loop, x: Any, new: Any) -> dict[str, Layer]:
        seen: dict[str, dict[str, float]] = {}
        current = [""]
        handles = []

        def at(name: str) -> Any:
            def note(module: Any, inputs: Any, output: Any) -> None:
                if name:
                    current[0] = name
                seen[current[0]] = _activations(module, output)

            return note

        for name, module in loop.model.named_modules():
            if isinstance(module, WEIGHTED):
                handles.append(module.register_forward_hook(at(name)))
            elif isinstance(module, ACTIVATIONS):
                handles.append(module.register_forward_hook(at("")))
        modes = [(m, m.training) for m in loop.model.modules()]
        loop.model.eval()
        with torch.no_grad():
            loop.model(x)
        for module, mode in modes:
            module.training = mode
        for handle in handles:
            handle.remove()
        return {name: Layer(**self._norms(module, new), **seen.get(name, {})) for name, module in self.layers}

    def _norms(self, module: Any, new: Any) -> dict[str, float]:
        start, place = {}, 0
        for p in self.parameters:
            start[id(p)] = place
            place += p.numel()
        own = list(module.parameters(recurse=False))
        rows = torch.cat([torch.arange(start[id(p)], start[id(p)] + p.numel()) for p in own])
        grads = [p.grad for p in own if p.grad is not None]
        return {
            "gradient_norm": float(_flat(grads).norm()) if grads else 0.0,
            "parameter_norm": float(new[rows].norm()),
            "update_norm": float((new[rows] - self.old[rows]).norm()),
        }


def _activations(module: Any, output: Any) -> dict[str, float]:
    flat = output.detach().reshape(len(output), -1).double()
    found = {
        "zero_share": float((flat == 0).double().mean()),
        "dead_share": float((flat == 0).all(0).double().mean()),
        "activation_mean": float(flat.mean()),
        "activation_std": float(flat.std()),
    }
    if isinstance(module, CURVED):
        low, high = (-1.0, 1.0) if isinstance(module, nn.Tanh) else (0.0, 1.0)
        edge = 0.02 * (high - low)
        found["saturated_share"] = float(((flat < low + edge) | (flat > high - edge)).double().mean())
    return found
