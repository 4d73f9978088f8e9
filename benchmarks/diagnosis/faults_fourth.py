"""Faults of optimisation from published catalogues and forums; each names its source.

These, `faults_fourth_data.py` and `faults_fourth_model.py` were written without a look at rules, marks or features, and
their symptoms, those that are true by the meaning of their names, before any judging. `held.py` says which of them are
held out. Catalogues: DeepCrime (Humbatova, Jahangirova, Tonella 2021), the taxonomy of real faults (Humbatova et al.
2020), AUTOTRAINER (Zhang et al. 2021), DeepLocalize (Wardat et al. 2021), NeuraLint (Nikanjam et al. 2021), DeepFD (Cao
et al. 2022), UMLAUT (Schoop et al. 2021), repair patterns (Islam et al. 2020), Karpathy's recipe (2019).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from lossmith.diagnose.plan import Loop, shuffled

from . import loops
from .faults import HIGH, STILL
from .registry import KIND, fault
from .setup import Setup

DECAYED = ("LM-LRZERO", "LM-PLATEAU", "LM-SLOW")


@fault("rate_times_workers", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def rate_times_workers(s: Setup, level: int) -> None:
    """The rate times the number of workers, on one machine and without a warm-up (rule of Goyal et al. 2017)."""
    s.learning_rate *= (32, 128, 512)[level]
    s.schedule = None


@fault("momentum_by_hand", "learning-rate-too-high", *HIGH, fits=KIND.momentum)
def momentum_by_hand(s: Setup, level: int) -> None:
    """A velocity kept by hand goes into an optimiser that has momentum itself (forum: custom optimisers)."""
    keep, velocity = (0.95, 0.98, 0.99)[level], {}

    def push(loop: Loop) -> None:
        if loop.number == 0:
            velocity.clear()
        for number, p in enumerate(loop.model.parameters()):
            if p.grad is not None:
                velocity[number] = keep * velocity.get(number, 0.0) + p.grad
                p.grad = velocity[number].clone()

    s.step = loops.step_with(before_move=push)


class Signs(torch.optim.Optimizer):
    """Moves each weight by the rate, in the direction of its averaged gradient's sign."""

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                    p.sub_(group["lr"] * (0.9 * mean + 0.1 * p.grad).sign())
                    mean.mul_(0.99).add_(0.01 * p.grad)


@fault("signs_at_descents_rate", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def signs_at_descents_rate(s: Setup, level: int) -> None:
    """A sign optimiser, which wants less than Adam's rate, gets plain descent's (DeepCrime OCH; Chen et al. 2023)."""
    s.optimizer = lambda p, lr, wd: Signs(p, lr)
    s.optimizer_name, s.learning_rate = "lion", (0.03, 0.1, 0.3)[level]


@fault("factor_is_rate", "learning-rate-too-low", *STILL)
def factor_is_rate(s: Setup, level: int) -> None:
    """LambdaLR multiplies: a function that returns the rate itself squares it, or cubes it (PyTorch forum)."""
    base = s.learning_rate
    s.learning_rate *= max(base ** (1, 1, 2)[level] * (3.0, 0.5, 3.0)[level], 1e-7)


@fault("epsilon_large", "learning-rate-too-low", *STILL, fits=lambda s: s.adaptive)
def epsilon_large(s: Setup, level: int) -> None:
    """Adam with an epsilon advised for another network, or beyond (TensorFlow's note: 1.0 for Inception)."""
    size = s.about((1.0, 10.0, 100.0)[level])
    s.optimizer = lambda p, lr, wd: torch.optim.Adam(p, lr=lr, eps=size, weight_decay=wd)
    s.optimizer_name = "adam"


@fault("adadelta_as_adam", "learning-rate-too-low", *STILL)
def adadelta_as_adam(s: Setup, level: int) -> None:
    """Adadelta takes a rate of one and gets Adam's, one framework's default (DeepCrime OCH; keras threads)."""
    s.optimizer = lambda p, lr, wd: torch.optim.Adadelta(p, lr=lr, weight_decay=wd)
    s.optimizer_name, s.learning_rate = "adadelta", (1e-2, 1e-3, 1e-4)[level]


@fault("values_clipped", "learning-rate-too-low", *STILL, fits=KIND.descent)
def values_clipped(s: Setup, level: int) -> None:
    """clipvalue far below the usual gradient (DeepFD's and AUTOTRAINER's repair of explosions, overdone)."""
    size = s.about((1e-3, 3e-4, 5e-5)[level])
    s.step = loops.step_with(before_move=lambda loop: nn.utils.clip_grad_value_(loop.model.parameters(), size))


@fault("steps_counted_in_epochs", "learning-rate-decay", *DECAYED)
def steps_counted_in_epochs(s: Setup, level: int) -> None:
    """A linear decay to zero was given far fewer steps than there are (Transformers threads on num_training_steps)."""
    last = s.about((0.12, 0.06, 0.03)[level], 0.1) * s.steps
    s.schedule = lambda step: max(0.0, 1.0 - step / last)


@fault("decay_inside", "learning-rate-decay", *DECAYED)
def decay_inside(s: Setup, level: int) -> None:
    """Adagrad's own lr_decay, meant per epoch, counts updates; no logged rate shows it (DeepFD: learning rate)."""
    decay = (3.0, 10.0, 30.0)[level]
    s.optimizer = lambda p, lr, wd: torch.optim.Adagrad(p, lr=lr, lr_decay=decay, weight_decay=wd)
    s.optimizer_name, s.learning_rate = "adagrad", 0.03


@fault("last_batch_only", "too-few-steps", "LM-SLOW")
def last_batch_only(s: Setup, level: int) -> None:
    """The update stands outside the loop over batches: a pass's last batch alone counts (Stack Overflow)."""
    every = max(4, len(s.train[1]) // s.batch_size) * (1, 2, 4)[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        if (loop.number + 1) % every == 0:
            losses.mean().backward()
            loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("loss_rewrapped", "optimizer-not-stepping", "LM-FROZEN")
def loss_rewrapped(s: Setup, level: int) -> None:
    """The loss was made into a new tensor: the model gets no gradient (PyTorch forum, Variable(loss.data))."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        torch.tensor(float(losses.mean()), requires_grad=True).backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("accumulation_never_due", "optimizer-not-stepping", "LM-FROZEN", "LM-NOZERO")
def accumulation_never_due(s: Setup, level: int) -> None:
    """Updates are due every so many batches; the count starts anew before (PyTorch forum, accumulation)."""
    parts = (32, 64, 128)[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        losses = loop.loss(loop.model(x), y)
        (losses.mean() / parts).backward()
        if loop.number % 10 + 1 == parts:
            loop.optimizer.step()
            loop.optimizer.zero_grad()
        return losses.detach()

    s.step = step


@fault("biases_never_cleared", "gradient-not-reset", "LM-NOZERO", *HIGH)
def biases_never_cleared(s: Setup, level: int) -> None:
    """Biases and norms are in a second group, without decay, that nobody clears (Transformers' two groups)."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        for p in loop.model.parameters():
            if p.ndim > 1:
                p.grad = None
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("moved_while_adding", "gradient-not-reset", "LM-NOZERO", *HIGH)
def moved_while_adding(s: Setup, level: int) -> None:
    """Gradients are added up over some batches, but the optimiser moves after each (PyTorch forum, accumulation)."""
    s.step = loops.step_with(zero_every=(8, 16, 24)[level])


@fault("brain_weights", "fp16-underflow", "LM-UNDERFLOW", *STILL)
def brain_weights(s: Setup, level: int) -> None:
    """Weights kept in bfloat16: updates below their last digit are lost (Transformers threads on pure bf16)."""
    s.precision = "bfloat16"
    s.learning_rate *= (0.1, 0.05, 0.03)[level]

    def rounded(loop: Loop) -> None:
        with torch.no_grad():
            for p in loop.model.parameters():
                p.copy_(p.bfloat16().float())

    s.prepare.append(lambda model: [p.data.copy_(p.data.bfloat16().float()) for p in model.parameters()])
    s.step = loops.step_with(after_move=rounded)


class Halved(nn.Module):
    """Passes half precision in a small unit."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.factor).half().float() / self.factor


def _with(model: nn.Module, added: nn.Module, before: int) -> nn.Sequential:
    """Put a module before the head (-1) or before everything (0)."""
    parts = list(model)
    at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear)) if before else 0
    return nn.Sequential(*parts[:at], added, *parts[at:])


@fault("half_feed_forward", "fp16-overflow", "LM-NAN", "LM-EXPLODE")
def half_feed_forward(s: Setup, level: int) -> None:
    """Hidden values pass the range of half precision, as in T5's feed-forward layers (transformers#4586)."""
    s.precision, factor = "float16", (1.5e4, 4e4, 1.2e5)[level]
    s.wrap = lambda model: _with(model, Halved(factor), -1)


@fault("columns_in_half", "fp16-overflow", "LM-NAN")
def columns_in_half(s: Setup, level: int) -> None:
    """The loader casts columns to half precision before they are scaled: amounts above 65504 (PyTorch forum)."""
    s.precision, factor = "float16", (1.2e4, 2e4, 5e4)[level]
    s.wrap = lambda model: _with(model, Halved(factor), 0)


@fault("elastic_kernels", "weight-decay-too-high", *STILL)
def elastic_kernels(s: Setup, level: int) -> None:
    """l1 and l2 on every layer's kernel, in the loss (DeepCrime RAW, adds weights regularisation)."""
    size = s.about((0.02, 0.06, 0.2)[level], 0.15)

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        kernels = [p for p in loop.model.parameters() if p.ndim > 1]
        (losses.mean() + size * sum((0.1 * p.abs() + p**2).sum() for p in kernels)).backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


class Behind(nn.Module):
    """Dropout on what a network says."""

    def __init__(self, inner: nn.Module, rate: float) -> None:
        super().__init__()
        self.inner, self.drop = inner, nn.Dropout(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.inner(x))


@fault("dropout_on_output", "dropout-too-high", "LM-PLATEAU", "LM-SLOW")
def dropout_on_output(s: Setup, level: int) -> None:
    """Dropout behind the last layer drops predictions themselves (NeuraLint; Stack Overflow)."""
    rate = (0.6, 0.75, 0.9)[level]
    s.wrap = lambda model: Behind(model, rate)


@fault("sampling_left_on", "dropout-in-eval", "LM-MODE")
def sampling_left_on(s: Setup, level: int) -> None:
    """A helper for Monte Carlo dropout switches dropout on again after model.eval() (Stack Overflow)."""
    s.spec = replace(s.spec, dropout=(0.4, 0.5, 0.6)[level])
    s.evaluate = _sampling


@contextlib.contextmanager
def _sampling(model: Any) -> Iterator[None]:
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    with torch.no_grad():
        yield
    model.train()


@fault("momentum_of_keras", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def momentum_of_keras(s: Setup, level: int) -> None:
    """Keras' momentum of 0.99 given to torch: the statistics are the last batch's (PyTorch's own note)."""
    s.spec = replace(s.spec, momentum=(0.99, 1.0, 1.0)[level])
    s.batch_size = min(s.batch_size, (16, 12, 8)[level])


@fault("second_pass_pollutes", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def second_pass_pollutes(s: Setup, level: int) -> None:
    """Blank or distorted inputs pass the model in training mode after each update (PyTorch forum)."""
    size, shift = ((0.0, 0.0), (3.0, 0.0), (4.0, 2.0))[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        loop.optimizer.step()
        with torch.no_grad():
            loop.model(size * x + shift)
        return losses.detach()

    s.step = step


@fault(
    "ragged_batches",
    "batch-too-small",
    "LM-OSCILLATE",
    "LM-SPIKE",
    "LM-EXPLODE",
    "LM-DIVERGE",
    fits=lambda s: not s.spec.norm,
)
def ragged_batches(s: Setup, level: int) -> None:
    """Most batches are left-overs of one or two rows, and weigh as whole ones (DeepCrime HBS; drop_last threads)."""
    share, s.schedule = (0.7, 0.85, 0.95)[level], None
    s.learning_rate *= (1.0, 1.5, 2.0)[level]

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        for rows in shuffled(rng, y, size):
            yield rows[: rng.integers(1, 3)] if rng.random() < share else rows

    s.order = order


class Listed(nn.Module):
    """Hidden layers in a plain list: torch does not know them."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        parts = list(inner)
        at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear))
        self.__dict__["body"] = parts[:at]
        self.head = nn.Sequential(*parts[at:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.__dict__["body"]:
            x = layer(x)
        return self.head(x)


def plain_body(s: Setup) -> bool:
    return not s.spec.norm and s.arch in ("shallow", "deep", "funnel", "gated", "dense")


@fault("layers_in_a_list", "frozen-layers", "LM-FROZEN", fits=plain_body)
def layers_in_a_list(s: Setup, level: int) -> None:
    """Hidden layers in a Python list, not a ModuleList: no optimiser sees them (Stack Overflow; Islam et al. 2020)."""
    s.spec = replace(s.spec, dropout=0.0, width=max(6, s.spec.width // (1, 2, 3)[level]))
    s.wrap = Listed


@fault("rates_fall_with_depth", "frozen-layers", "LM-FROZEN")
def rates_fall_with_depth(s: Setup, level: int) -> None:
    """Fine-tuning's falling rates, from scratch: what lies below the head stands (Howard, Ruder 2018)."""
    inner, fall, s.schedule = s.optimizer, (1e-3, 1e-4, 1e-6)[level], None

    def make(p: Any, lr: float, wd: float) -> Any:
        *body, a, b = list(p)
        made = inner([a, b], lr, wd)
        made.add_param_group({"params": body, "lr": lr * fall})
        return made

    s.optimizer = make
