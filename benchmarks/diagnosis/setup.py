"""A healthy training of a data set by an architecture: what faults are done to."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from lossmith.diagnose.plan import Plan, evaluating, reference_step, shuffled

from . import data, manners, manners_fourth, manners_third, nets
from .manners import Manner

STEPS = 300
LOTS = 2  # seeds from here on are trained in a manner of their own
THIRD, FOURTH = 6, 11  # ... of `manners_third.py`, of `manners_fourth.py`


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
    wrap: Callable[[Any], Any] | None = None  # around the network
    precision: str = "float32"
    loss_name: str = ""
    optimizer_name: str = "adamw"
    adaptive: bool = True
    manner: Manner | None = None  # None: seeds 0 and 1, whose rates all fall along a cosine

    @property
    def task(self) -> str:
        return self.split.task

    @property
    def classes(self) -> int:
        return self.split.classes

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([7, self.seed])

    def about(self, value: float, decades: float = 0.3) -> float:
        """Shift a severity by lot, so that severities fill a range."""
        if self.manner is None:
            return value
        word = f"{self.split.name}/{self.arch}/{value:.6g}"
        lot = np.random.default_rng([zlib.crc32(word.encode()), self.seed]).uniform(-decades, decades)
        return float(value * 10.0**lot)

    def every(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Do something to all inputs: those learned from, looked at, and judged by."""
        self.train, self.valid, self.test = ((change(x), y) for x, y in (self.train, self.valid, self.test))

    def plan(self) -> Plan:
        spec, wrap = self.spec, self.wrap
        return Plan(
            build=lambda: nets.build(spec) if wrap is None else wrap(nets.build(spec)),
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
    """Seeds 0 and 1 train with AdamW and with momentum, their rates fall to a tenth; others as their manner says."""
    draw = manners.draw if seed < THIRD else manners_third.draw if seed < FOURTH else manners_fourth.draw
    split = data.load(name, seed)
    outputs = split.classes if split.task == "multiclass" else 1
    manner = draw(name, arch, seed) if seed >= LOTS else None
    descent = manners.DESCENTS[2 if seed % 2 == 0 else 0] if manner is None else manner.descent
    calm = data.CALM.get(name, 1.0) * (3.0 if name == "credit" and arch not in ("shallow", "norm") else 1.0)
    decay = 0.1 if manner is None and descent.adaptive else descent.decay
    made = Setup(
        split=split,
        arch=arch,
        seed=seed,
        spec=nets.spec_of(arch, split.train[0].shape[1], outputs),
        train=split.train,
        valid=split.valid,
        test=split.test,
        loss=LOSSES[split.task],
        read=READS[split.task],
        optimizer=descent.make,
        learning_rate=calm * descent.rates[split.task == "regression"],
        weight_decay=data.DECAY.get(name, 1.0) * decay,
        schedule=fading,
        loss_name=LOSSES[split.task].__name__,
        optimizer_name=descent.name,
        adaptive=descent.adaptive,
        manner=manner,
    )
    return made if manner is None else _in_manner(made, manner)


def _in_manner(made: Setup, manner: Manner) -> Setup:
    made.steps, made.schedule = manner.steps, manner.schedule(manner.steps)
    made.learning_rate *= manner.rate * (1.0 if made.schedule else 0.5)
    made.batch_size = min(manner.batch, max(8, len(made.train[1]) // 4))
    width = max(6, int(made.spec.width * manner.wide))
    made.spec = replace(made.spec, width=width, depth=made.spec.depth + manner.deeper)
    made.order, made.step = manner.order or made.order, manner.step or made.step
    if manner.other_loss and made.task in manners_third.OTHER_LOSSES:
        made.loss_name, made.loss = manners_third.OTHER_LOSSES[made.task]
    return made


def fading(step: int) -> float:
    return 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / STEPS)))


def trivial(setup: Setup) -> float:
    """Judge the best constant in the same way."""
    return float(np.mean(setup.test[1] ** 2)) if setup.task == "regression" else math.log(setup.classes)
