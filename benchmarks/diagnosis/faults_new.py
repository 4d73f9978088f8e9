"""Faults that an earlier version of this bench held out; development since then."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from . import loops
from .faults import HIGH, STILL
from .faults_data import SCALE, thin
from .faults_model import PLATEAU, start_at, weights_of
from .registry import KIND, fault
from .setup import Setup

OUTPUT = "LM-OUTPUT"


@fault("cyclic_rate", "learning-rate-too-high", *HIGH)
def cyclic_rate(s: Setup, level: int) -> None:
    top, period = s.about((60.0, 200.0, 600.0)[level]), s.steps / 4
    s.schedule = lambda step: top ** (1.0 - abs(2.0 * ((step / period) % 1.0) - 1.0))


@fault("head_rate_high", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def head_rate_high(s: Setup, level: int) -> None:
    inner, times = s.optimizer, (100.0, 300.0, 1000.0)[level]  # two groups, the head's is forgotten
    s.schedule = None

    def make(p: Any, lr: float, wd: float) -> Any:
        *body, a, b = list(p)
        made = inner(body, lr, wd)
        made.add_param_group({"params": [a, b], "lr": lr * times})
        return made

    s.optimizer = make


@fault("clip_tiny", "learning-rate-too-low", *STILL, fits=KIND.descent)
def clip_tiny(s: Setup, level: int) -> None:
    s.step = loops.step_with(before_move=loops.clipped_to((1e-2, 3e-3, 1e-3)[level]))


@fault("rate_over_rows", "learning-rate-too-low", *STILL)
def rate_over_rows(s: Setup, level: int) -> None:
    s.learning_rate /= len(s.train[1]) * (0.5, 1.0, 4.0)[level]


@fault("stopped_at_once", "too-few-steps", "LM-SLOW")
def stopped_at_once(s: Setup, level: int) -> None:
    s.steps = (16, 10, 6)[level]  # early stopping with a patience of one


@fault("steep_decay", "learning-rate-decay", "LM-LRZERO", "LM-PLATEAU", "LM-SLOW")
def steep_decay(s: Setup, level: int) -> None:
    keep = (0.9, 0.85, 0.7)[level]
    s.schedule = lambda step: keep**step


@fault("cleared_before_step", "optimizer-not-stepping", "LM-FROZEN")
def cleared_before_step(s: Setup, level: int) -> None:
    s.step = loops.step_with(before_move=lambda loop: loop.optimizer.zero_grad())


@fault("half_reset", "gradient-not-reset", "LM-NOZERO", *HIGH)
def half_reset(s: Setup, level: int) -> None:
    s.step = loops.half_reset  # the optimiser resets its own, a second one's parameters add up


@fault("body_rate_zero", "frozen-layers", "LM-FROZEN")
def body_rate_zero(s: Setup, level: int) -> None:
    inner = s.optimizer

    def make(p: Any, lr: float, wd: float) -> Any:
        *_body, a, b = list(p)
        return inner([b] if level else [a, b], lr, wd)  # the body never came into the optimiser

    s.optimizer = make


@fault("copied_units", "zero-initialisation", *PLATEAU, "LM-VANISH", "LM-DEAD", fits=KIND.visible)
def copied_units(s: Setup, level: int) -> None:
    @torch.no_grad()
    def copy(model: Any) -> None:
        *hidden, head = weights_of(model)
        for layer in hidden:
            layer.weight.copy_(layer.weight[:1].expand_as(layer.weight))
            layer.bias.fill_(float(layer.bias[0]))
        head.weight.copy_(head.weight.mean(1, keepdim=True).expand_as(head.weight))

    s.prepare.append(copy)


@fault("last_hidden_dead", "dead-relu", "LM-DEAD", fits=lambda s: s.arch in ("shallow", "conv"))
def last_hidden_dead(s: Setup, level: int) -> None:
    @torch.no_grad()
    def sink(model: Any) -> None:
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        (norms or weights_of(model)[:-1])[-1].bias.sub_((5.0, 10.0, 20.0)[level])

    s.prepare.append(sink)


@fault("head_large", "bad-initialisation-large", *HIGH, "LM-SCALE", *PLATEAU, "LM-OVERFIT")
def head_large(s: Setup, level: int) -> None:
    @torch.no_grad()
    def scale(model: Any) -> None:
        weights_of(model)[-1].weight.mul_((20.0, 60.0, 200.0)[level])

    s.prepare.append(scale)


@fault("lasso_high", "weight-decay-too-high", *STILL, "LM-PLATEAU")
def lasso_high(s: Setup, level: int) -> None:
    share = (0.02, 0.06, 0.2)[level]

    def pull(loop: Any) -> None:
        for p in loop.model.parameters():
            if p.grad is not None:
                p.grad.add_(share * p.detach().sign())

    s.step = loops.step_with(before_move=pull)


@fault("softplus_output", "wrong-output-activation", OUTPUT, fits=KIND.regression)
def softplus_output(s: Setup, level: int) -> None:
    from dataclasses import replace

    s.spec = replace(s.spec, last=torch.nn.Softplus)


@fault("huber_on_logits", "mse-on-logits", OUTPUT, fits=KIND.classes)
def huber_on_logits(s: Setup, level: int) -> None:
    classes, binary = s.classes, s.task == "binary"
    s.loss = lambda out, y: (
        F.huber_loss(out, y, reduction="none", delta=0.3)
        if binary
        else F.huber_loss(out, F.one_hot(y, classes).float(), reduction="none", delta=0.3).mean(1)
    )
    s.loss_name = "huber"


@fault("squared_log", "wrong-loss-for-target", OUTPUT, fits=KIND.regression)
def squared_log(s: Setup, level: int) -> None:
    s.loss = lambda out, y: (torch.log1p(out.clamp(min=-0.99)) - torch.log1p(y.clamp(min=-0.99))) ** 2
    s.loss_name = "msle"


@fault("far_cauchy_class", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.classes)
def far_cauchy_class(s: Setup, level: int) -> None:
    binary, classes = s.task == "binary", s.classes
    # Brier's score: bounded, flat for rows that are surely wrong.
    s.loss = lambda out, y: (
        (torch.sigmoid(out) - y) ** 2 if binary else ((torch.softmax(out, 1) - F.one_hot(y, classes)) ** 2).sum(1)
    )
    s.loss_name = "brier"
    start_at(s, (10.0, 14.0, 20.0)[level])


@fault("byte_inputs", "unscaled-inputs", *SCALE)
def byte_inputs(s: Setup, level: int) -> None:
    spread = (25.0, 40.0, 60.0)[level]
    s.every(lambda x: np.clip(128.0 + spread * x, 0.0, 255.0).astype(np.float32))


@fault("tiny_target", "unscaled-target", *SCALE, fits=KIND.regression)
def tiny_target(s: Setup, level: int) -> None:
    from .faults_data import retarget

    retarget(s, 0.0, (1e-2, 1e-3, 1e-4)[level])


@fault("one_way_noise", "label-noise", "LM-LABELS")
def one_way_noise(s: Setup, level: int) -> None:
    share = (0.3, 0.4, 0.45)[level]
    x, y = s.train
    hit = s.rng.random(len(y)) < (share if s.task != "regression" else share + 0.3)
    wrong = s.rng.normal(y.mean(), y.std(), len(y)).astype(y.dtype) if s.task == "regression" else np.zeros_like(y)
    s.train = x, np.where(hit, wrong, y)


@fault("codes_reversed", "label-mismatch", "LM-DISAGREE", "LM-OVERFIT", "LM-LABELS", fits=KIND.classes)
def codes_reversed(s: Setup, level: int) -> None:
    s.train = s.train[0], s.classes - 1 - s.train[1]


@fault("eval_divided", "train-eval-mismatch", "LM-OVERFIT", "LM-DISAGREE", "LM-SCALE", repairable=False)
def eval_divided(s: Setup, level: int) -> None:
    size = np.float32((0.1, 10.0, 30.0)[level])
    s.valid, s.test = ((x * size, y) for x, y in (s.valid, s.test))


@fault("one_rare_class", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def one_rare_class(s: Setup, level: int) -> None:
    thin(s, {0: (0.1, 0.05, 0.03)[level]})


@fault("sentinel_targets", "outliers", "LM-OUTLIERS", fits=KIND.regression)
def sentinel_targets(s: Setup, level: int) -> None:
    code = (-99.0, 99.0, 999.0)[level]  # "unknown", written as a number
    for part, share in (("train", 0.03), ("valid", 0.03)):
        x, y = getattr(s, part)
        setattr(s, part, (x, np.where(s.rng.random(len(y)) < share, code, y).astype(np.float32)))


@fault("nan_target", "nan-in-data", "LM-NAN", from_start=False, fits=KIND.regression)
def nan_target(s: Setup, level: int) -> None:
    x, y = s.train
    y = y.copy()
    y[s.rng.integers(len(y), size=(1, 2, 5)[level])] = np.nan
    s.train = x, y


@fault("several_leaks", "data-leak", "LM-LEAK")
def several_leaks(s: Setup, level: int) -> None:
    from dataclasses import replace

    rng, noise = s.rng, (0.5, 0.3, 0.15)[level]

    def leak(part: tuple[np.ndarray, np.ndarray], honest: bool) -> tuple[np.ndarray, np.ndarray]:
        x, y = part
        told = np.zeros(len(y)) if honest else (y - y.mean()) / y.std()
        return np.hstack([x, 3.0 * told[:, None] + 3.0 * noise * rng.normal(size=(len(y), 2))]).astype(np.float32), y

    s.train, s.valid, s.test = leak(s.train, False), leak(s.valid, False), leak(s.test, True)
    s.spec = replace(s.spec, inputs=s.spec.inputs + 2)


@fault("short_shuffle", "sorted-batches", "LM-SORTED", "LM-OSCILLATE")
def short_shuffle(s: Setup, level: int) -> None:
    s.order, s.schedule = loops.short_buffer((3, 2, 1)[level]), None
