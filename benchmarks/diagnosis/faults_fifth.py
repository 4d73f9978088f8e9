"""Faults of optimisation, fifth part, all of it held out; each names its source.

These, `faults_fifth_data.py` and `faults_fifth_model.py` were written without a look at rules, marks, features or
results, and their symptoms before any judging. Sources: studies of bugs (Zhang et al. 2018; Islam et al. 2019, 2020;
silent bugs, Tambon et al. 2024; gDefects4DL, Liang et al. 2022; DeepDiagnosis, Wardat et al. 2022), Karpathy's recipe
(2019), Google's tuning playbook (2023), CS231n, and forums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lossmith.diagnose.plan import Loop

from . import loops
from .faults import HIGH, STILL
from .registry import KIND, fault
from .setup import Setup

DECAYED = ("LM-LRZERO", "LM-PLATEAU", "LM-SLOW")


@fault("milestones_in_batches", "learning-rate-decay", *DECAYED)
def milestones_in_batches(s: Setup, level: int) -> None:
    """MultiStepLR's milestones were meant in epochs, and step() is called after each batch (PyTorch forum)."""
    first = max(2, round(s.about((0.07, 0.04, 0.02)[level], 0.1) * s.steps))
    s.schedule = lambda step: 0.1 ** sum(step >= first * part for part in (1, 2, 3))


@fault("power_of_nine", "learning-rate-decay", *DECAYED)
def power_of_nine(s: Setup, level: int) -> None:
    """The polynomial decay's power of 0.9 became 9 or more (segmentation recipes; gDefects4DL: optimiser)."""
    power, last = s.about((25.0, 45.0, 90.0)[level], 0.1), s.steps
    s.schedule = lambda step: max(0.0, 1.0 - step / last) ** power


@fault("attack_gradients_left", "gradient-not-reset", "LM-NOZERO", *HIGH, "LM-PLATEAU", fits=KIND.classes)
def attack_gradients_left(s: Setup, level: int) -> None:
    """A targeted attack's backward pass leaves its gradients, and training adds to them (adversarial loops, forum)."""
    share = (0.5, 0.8, 1.5)[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        (share * loop.loss(loop.model(x), y.roll(1)).mean()).backward()
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("cleared_if_better", "gradient-not-reset", "LM-NOZERO", *HIGH)
def cleared_if_better(s: Setup, level: int) -> None:
    """zero_grad() slid into the branch of a new best loss (silent bugs; Stack Overflow, indentation)."""
    ease, best = (1.0, 0.8, 0.5)[level], [math.inf]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        if loop.number == 0:
            best[0] = math.inf
        losses = loop.loss(loop.model(x), y)
        if float(losses.detach().mean()) < ease * best[0]:
            best[0] = min(best[0], float(losses.detach().mean()))
            loop.optimizer.zero_grad()
        losses.mean().backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("unfreezing_never_due", "frozen-layers", "LM-FROZEN", fits=KIND.visible)
def unfreezing_never_due(s: Setup, level: int) -> None:
    """Layers are unfrozen one by one, from a random start, at epochs that hardly come (gradual unfreezing)."""
    due, s.schedule = (0.8, 2.0, 9.0)[level] * s.steps, None

    def hold(loop: Loop) -> None:
        *body, _, _ = list(loop.model.parameters())
        for number, p in enumerate(reversed(body)):
            if loop.number < due * (1.0 + number // 2):
                p.grad = None

    s.step = loops.step_with(before_move=hold)


@fault("scale_backs_off", "fp16-underflow", "LM-UNDERFLOW", *STILL, from_start=False)
def scale_backs_off(s: Setup, level: int) -> None:
    """A loss scale that is halved again and again, and never grows (apex threads, "reducing loss scale to 1e-30")."""
    s.precision, every = "float16", max(1, round(s.steps * (0.008, 0.006, 0.004)[level]))

    def through(loop: Loop) -> None:
        scale = 2.0 ** (6 - loop.number // every)
        for p in loop.model.parameters():
            if p.grad is not None:
                p.grad.copy_((p.grad * scale).half().float() / max(scale, 1e-30))

    s.step = loops.step_with(before_move=through)


class HalfAdam(torch.optim.Optimizer):
    """Adam whose averaged squares are kept in half precision."""

    def __init__(self, parameters: Iterable[Any], lr: float, epsilon: float) -> None:
        super().__init__(parameters, {"lr": lr, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["age"] = age = state.get("age", 0) + 1
                mean = state.setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 0.1)
                square = 0.999 * state.get("square", torch.zeros_like(p)) + 0.001 * p.grad**2
                state["square"] = square = square.half().float()
                root = (square / (1.0 - 0.999**age)).sqrt() + group["epsilon"]
                p.sub_(group["lr"] * mean / (1.0 - 0.9**age) / root)


@fault("second_moment_in_half", "fp16-underflow", "LM-UNDERFLOW", *HIGH)
def second_moment_in_half(s: Setup, level: int) -> None:
    """Adam's squares are kept in half precision: small ones are zero, the step is divided by epsilon (apex threads)."""
    s.precision, s.optimizer_name, s.adaptive = "float16", "adam", True
    epsilon = (1e-5, 1e-6, 1e-8)[level]
    s.optimizer = lambda p, lr, wd: HalfAdam(p, lr, epsilon)
    s.learning_rate = min(s.learning_rate, 3e-3)


@fault("never_unscaled", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED", fits=KIND.descent)
def never_unscaled(s: Setup, level: int) -> None:
    """The loss is scaled for mixed precision, and optimizer.step() is called past the scaler (PyTorch forum)."""
    s.step = loops.step_with(scale=2.0 ** (6, 9, 16)[level])


@fault("warm_up_begins_anew", "learning-rate-too-low", *STILL)
def warm_up_begins_anew(s: Setup, level: int) -> None:
    """The warm-up counts batches from zero in each epoch, and an epoch is far shorter (Transformers threads)."""
    epoch = max(2, len(s.train[1]) // s.batch_size)
    rise = epoch * (150, 600, 3000)[level]
    s.schedule = lambda step: (step % epoch + 1) / rise


@fault("large_gradients_skipped", "too-few-steps", "LM-SLOW")
def large_gradients_skipped(s: Setup, level: int) -> None:
    """A guard skips batches with a "bad" gradient, and nearly all are (threads on skipped steps)."""
    keep = (16, 40, 80)[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        if loop.number % keep == 0:
            loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("updates_thrown_away", "optimizer-not-stepping", "LM-FROZEN")
def updates_thrown_away(s: Setup, level: int) -> None:
    """The new parameters are returned by the update, and nobody keeps them (threads on optax and functional code)."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        kept = [p.detach().clone() for p in loop.model.parameters()]
        loop.optimizer.step()
        with torch.no_grad():
            for p, old in zip(loop.model.parameters(), kept, strict=True):
                p.copy_(old)
        return losses.detach()

    s.step = step


def before_head(model: nn.Module, *added: nn.Module) -> nn.Sequential:
    parts = list(model)
    at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear))
    return nn.Sequential(*parts[:at], *added, *parts[at:])


class HalfNorm(nn.Module):
    """Divides rows by the root of their mean square, which is taken in half precision."""

    def __init__(self, unit: float) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = (self.unit * x).half()
        return x / ((wide * wide).float().mean(1, keepdim=True).sqrt() / self.unit + 1e-6)


@fault("mean_square_in_half", "fp16-overflow", "LM-NAN", "LM-EXPLODE")
def mean_square_in_half(s: Setup, level: int) -> None:
    """Squares for a row's norm are taken in half precision, and pass 65504 (Transformers: RMS norm in float32)."""
    s.precision, unit = "float16", (150.0, 300.0, 1000.0)[level]
    s.wrap = lambda model: before_head(model, HalfNorm(unit))


@fault("max_norm_small", "weight-decay-too-high", *STILL)
def max_norm_small(s: Setup, level: int) -> None:
    """A max-norm constraint on each unit, far below what it needs (Keras constraints; CS231n advises 3 or 4)."""
    most = (0.25, 0.12, 0.05)[level]

    def shrink(loop: Loop) -> None:
        with torch.no_grad():
            for p in loop.model.parameters():
                if p.ndim > 1:
                    p.copy_(p.flatten(1).renorm(2, 0, most).reshape(p.shape))

    s.step = loops.step_with(after_move=shrink)


class DropRows(nn.Module):
    """Drops a branch for whole rows, where there is no branch beside it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        keep = torch.rand(len(x), *[1] * (x.ndim - 1)) >= self.rate
        return x * keep / (1.0 - self.rate)


@fault("paths_dropped", "dropout-too-high", "LM-PLATEAU", "LM-SLOW")
def paths_dropped(s: Setup, level: int) -> None:
    """Stochastic depth where no skip connection is left: rows lose all they have (timm threads on drop_path)."""
    rate = (0.6, 0.8, 0.92)[level]
    s.wrap = lambda model: before_head(model, DropRows(rate))


class Sampled(nn.Module):
    """Hidden values are drawn about their mean, in training and in evaluation."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.spread * x.detach().std() * torch.randn_like(x)


@fault("latents_always_drawn", "dropout-in-eval", "LM-MODE", repairable=False)
def latents_always_drawn(s: Setup, level: int) -> None:
    """A code is sampled, not its mean taken, in evaluation too (threads on variational layers and GaussianNoise)."""
    spread = (0.7, 1.2, 2.0)[level]
    s.wrap = lambda model: before_head(model, Sampled(spread))


@fault("nll_of_raw_scores", "missing-sigmoid", "LM-OUTPUT", "LM-DIVERGE", "LM-EXPLODE", fits=KIND.multiclass)
def nll_of_raw_scores(s: Setup, level: int) -> None:
    """NLLLoss wants logarithms of probabilities and gets scores: it falls without end (PyTorch forum)."""
    s.loss = lambda out, y: F.nll_loss(out, y, reduction="none")
    s.loss_name = "nll"
