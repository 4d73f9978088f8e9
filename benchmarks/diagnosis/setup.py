"""A healthy training of a data set by an architecture: what faults are done to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from lossmith.diagnose.plan import Plan, evaluating, reference_step, shuffled

from . import data, nets

STEPS = 300


def squared(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (output - y) ** 2


def logistic(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(output, y, reduction="none")


def softmax(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output, y, reduction="none")


LOSSES = {"regression": squared, "binary": logistic, "multiclass": softmax}
READS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "regression": lambda out: out,
    "binary": torch.sigmoid,
    "multiclass": lambda out: torch.softmax(out, 1),
}


def sgd(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, weight_decay=weight_decay)


def adam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


@dataclass
class Setup:
    """May be changed at will by a fault; `plan` freezes it."""

    split: data.Split
    arch: str
    seed: int
    spec: nets.Spec
    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    loss: Callable[[Any, Any], Any]
    read: Callable[[Any], Any]
    optimizer: Callable[[Any, float, float], Any]
    learning_rate: float
    weight_decay: float
    batch_size: int = 32
    steps: int = STEPS
    schedule: Callable[[int], float] | None = None
    order: Any = shuffled
    step: Any = reference_step
    evaluate: Any = evaluating
    prepare: list[Callable[[Any], None]] = field(default_factory=list)
    precision: str = "float32"
    loss_name: str = ""

    @property
    def task(self) -> str:
        return self.split.task

    @property
    def classes(self) -> int:
        return self.split.classes

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([7, self.seed])

    def every(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Do something to all inputs: those learned from, looked at, and judged by."""
        self.train, self.valid, self.test = ((change(x), y) for x, y in (self.train, self.valid, self.test))

    def plan(self) -> Plan:
        spec = self.spec
        return Plan(
            build=lambda: nets.build(spec),
            loss=self.loss,
            train=self.train,
            valid=self.valid,
            task=self.task,
            read=self.read,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            batch_size=self.batch_size,
            steps=self.steps,
            seed=self.seed,
            order=self.order,
            step=self.step,
            evaluate=self.evaluate,
            prepare=tuple(self.prepare),
        )


def healthy(name: str, arch: str, seed: int) -> Setup:
    """Even seeds train with AdamW, odd ones with momentum; the rate falls to a tenth."""
    split = data.load(name, seed)
    outputs = split.classes if split.task == "multiclass" else 1
    adaptive = seed % 2 == 0
    calm = data.CALM.get(name, 1.0) * (3.0 if name == "credit" and arch in ("deep", "conv") else 1.0)
    return Setup(
        split=split,
        arch=arch,
        seed=seed,
        spec=nets.spec_of(arch, split.train[0].shape[1], outputs),
        train=split.train,
        valid=split.valid,
        test=split.test,
        loss=LOSSES[split.task],
        read=READS[split.task],
        optimizer=adam if adaptive else sgd,
        learning_rate=calm * (3e-3 if adaptive else (0.03 if split.task != "regression" else 0.01)),
        weight_decay=data.DECAY.get(name, 1.0) * (0.1 if adaptive else 2e-3),
        schedule=fading,
        loss_name=LOSSES[split.task].__name__,
    )


def fading(step: int) -> float:
    return 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / STEPS)))


def trivial(setup: Setup) -> float:
    """Judge the best constant in the same way."""
    return float(np.mean(setup.test[1] ** 2)) if setup.task == "regression" else math.log(setup.classes)
