"""Faults of optimisation: the optimiser, its rate, the loop around it, precision, regularisation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from lossmith.diagnose.plan import Loop

from . import loops
from .registry import KIND, fault
from .setup import STEPS, Setup, fading

HIGH = ("LM-EXPLODE", "LM-DIVERGE", "LM-NAN", "LM-OSCILLATE", "LM-SPIKE")
STILL = ("LM-FROZEN", "LM-PLATEAU", "LM-SLOW")


@fault("lr_high", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def lr_high(s: Setup, level: int) -> None:
    s.learning_rate *= s.about((30.0, 100.0, 300.0)[level], 0.5)


@fault("momentum_high", "learning-rate-too-high", *HIGH, fits=KIND.momentum)
def momentum_high(s: Setup, level: int) -> None:
    rate = (0.99, 0.995, 0.998)[level]
    s.optimizer = lambda p, lr, wd: torch.optim.SGD(p, lr=3.0 * lr, momentum=rate, weight_decay=wd)


@fault("lr_rising", "learning-rate-too-high", *HIGH, from_start=False)
def lr_rising(s: Setup, level: int) -> None:
    top = (100.0, 300.0, 1000.0)[level]
    begun, steps = s.about(0.4, 0.15), s.steps
    s.schedule = lambda step: top ** max(0.0, (step / steps - begun) / (1.0 - begun))


@fault("sum_reduction", "learning-rate-too-high", *HIGH, fits=KIND.descent)
def sum_reduction(s: Setup, level: int) -> None:
    inner, factor = s.loss, float(s.batch_size) * (1.0, 2.0, 4.0)[level]
    s.loss = lambda out, y: factor * inner(out, y)


@fault("lr_low", "learning-rate-too-low", *STILL)
def lr_low(s: Setup, level: int) -> None:
    s.learning_rate *= s.about((0.03, 0.01, 0.001)[level] * (1.0, 1.0, 0.3 if s.manner else 1.0)[level], 0.5)


@fault("warmup_endless", "learning-rate-too-low", *STILL)
def warmup_endless(s: Setup, level: int) -> None:
    length = s.about(s.steps * (20, 60, 300)[level])
    s.schedule = lambda step: (step + 1) / length


@fault("too_few_steps", "too-few-steps", "LM-SLOW")
def too_few_steps(s: Setup, level: int) -> None:
    s.steps = max(6, int(s.about(s.steps / (6, 10, 20)[level], 0.15)))
    if s.manner is not None and s.seed % 2 == 0:  # planned so, not broken off
        s.schedule = s.manner.schedule(s.steps)


@fault("lr_decay", "learning-rate-decay", "LM-LRZERO", "LM-PLATEAU", "LM-SLOW")
def lr_decay(s: Setup, level: int) -> None:
    every = max(1, int(s.about((20, 10, 4)[level] * s.steps / STEPS, 0.2)))
    s.schedule = lambda step: 0.3 ** (step // every)


@fault("cosine_short", "learning-rate-decay", "LM-LRZERO", "LM-PLATEAU", "LM-SLOW")
def cosine_short(s: Setup, level: int) -> None:
    stretch = s.about((8, 15, 30)[level] * STEPS / s.steps, 0.15)
    s.schedule = lambda step: (fading(step * stretch) - 0.1) / 0.9


@fault("no_step", "optimizer-not-stepping", "LM-FROZEN")
def no_step(s: Setup, level: int) -> None:
    s.step = loops.step_with(move=False)


@fault("wrong_parameters", "optimizer-not-stepping", "LM-FROZEN")
def wrong_parameters(s: Setup, level: int) -> None:
    inner = s.optimizer  # the model was copied after its optimiser had been made
    s.optimizer = lambda p, lr, wd: inner([torch.nn.Parameter(q.detach().clone()) for q in p], lr, wd)


@fault("no_zero_grad", "gradient-not-reset", "LM-NOZERO", *HIGH)
def no_zero_grad(s: Setup, level: int) -> None:
    s.step = loops.step_with(zero_every=10**9)


@fault("rare_zero_grad", "gradient-not-reset", "LM-NOZERO", *HIGH)
def rare_zero_grad(s: Setup, level: int) -> None:
    s.step = loops.step_with(zero_every=(30, 75, 150)[level])


@fault("fp16_underflow", "fp16-underflow", "LM-UNDERFLOW", *STILL)
def fp16_underflow(s: Setup, level: int) -> None:
    s.precision = "float16"
    s.step = loops.step_with(scale=s.about((1e-6, 3e-7, 1e-7)[level], 0.15), before_move=loops.half_gradients)


@fault("fp16_weights", "fp16-underflow", "LM-UNDERFLOW", *STILL)
def fp16_weights(s: Setup, level: int) -> None:
    s.precision = "float16"
    s.learning_rate *= (0.1, 0.05, 0.03)[level]  # right with weights of 32 bits and more steps; here updates are lost
    s.step = loops.step_with(before_move=loops.half_gradients, after_move=loops.half_weights)


@fault("fp16_overflow", "fp16-overflow", "LM-NAN", "LM-EXPLODE")
def fp16_overflow(s: Setup, level: int) -> None:
    s.precision = "float16"
    factor = (2.0**22, 2.0**24, 2.0**26)[level]

    def unscale(loop: Loop) -> None:
        for p in loop.model.parameters():
            if p.grad is not None:
                p.grad.copy_((p.grad * factor).half().float() / factor)

    s.step = loops.step_with(before_move=unscale)


@fault("fp16_activations", "fp16-overflow", "LM-NAN", "LM-EXPLODE")
def fp16_activations(s: Setup, level: int) -> None:
    s.precision = "float16"
    inner, factor = s.loss, (1e4, 2e4, 4e4)[level]  # outputs pass through half precision in a small unit
    s.loss = lambda out, y: inner((out * factor).half().float() / factor, y)


@fault("weight_decay_high", "weight-decay-too-high", *STILL, "LM-PLATEAU")
def weight_decay_high(s: Setup, level: int) -> None:
    decoupled = s.optimizer_name == "adamw"
    s.weight_decay = s.about((100.0, 200.0, 300.0)[level] if decoupled else (0.3, 1.0, 3.0)[level], 0.1)


@fault("penalty_high", "weight-decay-too-high", *STILL, "LM-PLATEAU")
def penalty_high(s: Setup, level: int) -> None:
    s.step = loops.step_with(penalty=s.about((0.05, 0.15, 0.5)[level], 0.2))


@fault("dropout_high", "dropout-too-high", "LM-PLATEAU", "LM-SLOW")
def dropout_high(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, dropout=(0.85, 0.9, 0.95)[level])


@fault("dropout_in_eval", "dropout-in-eval", "LM-MODE")
def dropout_in_eval(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, dropout=(0.4, 0.5, 0.6)[level])
    s.evaluate = loops.left_in_training


@fault("dropout_functional", "dropout-in-eval", "LM-MODE", repairable=False)
def dropout_functional(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, dropout=(0.4, 0.5, 0.6)[level], always=True)


@fault("bn_eval_mode", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def bn_eval_mode(s: Setup, level: int) -> None:
    inputs = (3.0, 10.0, 30.0)[level]  # matters where activations are far from unit scale
    s.every(lambda x: x * inputs + inputs)
    s.step = loops.step_with(train_mode=False)


@fault("bn_stale", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def bn_stale(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, momentum=(3e-3, 1e-3, 1e-4)[level])


@fault("bn_never_back", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def bn_never_back(s: Setup, level: int) -> None:
    shift = (3.0, 10.0, 30.0)[level]
    s.every(lambda x: x * shift + shift)
    s.step = loops.step_with(train_mode=None)
    s.evaluate = loops.never_back


@fault(
    "batch_of_one",
    "batch-too-small",
    "LM-OSCILLATE",
    "LM-SPIKE",
    "LM-EXPLODE",
    "LM-DIVERGE",
    fits=lambda s: not s.spec.norm,
)
def batch_of_one(s: Setup, level: int) -> None:
    s.batch_size = (3, 2, 1)[level]
    s.schedule = None


@fault("frozen_body", "frozen-layers", "LM-FROZEN")
def frozen_body(s: Setup, level: int) -> None:
    def freeze(model: Any) -> None:
        own = [m for m in model.modules() if list(m.parameters(recurse=False))]
        for module in own if level == 2 else own[:-1] if level else own[1:]:
            for p in module.parameters(recurse=False):
                p.requires_grad_(module is own[-1] and p.ndim == 1)

    s.prepare.append(freeze)


@fault("cut_graph", "frozen-layers", "LM-FROZEN", repairable=False)
def cut_graph(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, cut=True)
