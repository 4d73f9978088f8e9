"""Faults of the model and of its pairing with the loss, fifth part, all of it held out; see `faults_fifth.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from .faults_fifth import before_head
from .faults_model import PLATEAU, start_at, weights_of
from .registry import KIND, fault
from .setup import Setup

OUTPUT = "LM-OUTPUT"
FADING = ("LM-VANISH", *PLATEAU)


def plain_stack(s: Setup) -> bool:
    return s.arch in ("shallow", "deep", "funnel")


class Rounded(nn.Module):
    """Whole numbers of some steps: nothing has a slope."""

    def __init__(self, steps: float) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x * self.steps) / self.steps


@fault("rounded_between", "frozen-layers", "LM-FROZEN", "LM-VANISH", repairable=False)
def rounded_between(s: Setup, level: int) -> None:
    """round() or long() within the model: no gradient passes to what lies below (PyTorch forum, Stack Overflow)."""
    steps = (16.0, 4.0, 1.0)[level]
    s.spec = replace(s.spec, width=max(6, s.spec.width // 2))
    s.wrap = lambda model: before_head(model, Rounded(steps))


class Steep(nn.Module):
    """A sigmoid ten times as steep."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(20.0 * x - 10.0)


@fault("steep_sigmoids", "deep-sigmoid", *FADING, "LM-SATURATED", fits=plain_stack)
def steep_sigmoids(s: Setup, level: int) -> None:
    """A sigmoid stands for a step from 0 to 1, so steep that it is flat nearly everywhere (Stack Overflow; CS231n)."""
    s.spec = replace(s.spec, width=24, depth=(3, 5, 7)[level], activation=Steep)


class Closed(nn.Module):
    """Values pass a gate of their own, which begins closed and has no way around it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) * torch.sigmoid(x - 2.0)


@fault("gates_without_carry", "deep-sigmoid", *FADING, fits=plain_stack)
def gates_without_carry(s: Setup, level: int) -> None:
    """Highway layers with gates that begin closed, their carry left out (Srivastava et al. 2015; forum)."""
    s.spec = replace(s.spec, width=24, depth=(3, 5, 8)[level], activation=Closed)


@fault("policy_gain_everywhere", "bad-initialisation-small", *FADING, fits=plain_stack)
def policy_gain_everywhere(s: Setup, level: int) -> None:
    """Orthogonal weights with the gain of 0.01 that is meant for a policy's last layer (details of PPO, Huang 2022)."""
    gain = (0.03, 0.01, 0.003)[level]
    s.spec = replace(s.spec, depth=max(3, s.spec.depth))

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            nn.init.orthogonal_(layer.weight, gain)
            layer.bias.zero_()

    s.prepare.append(fill)


@fault("bytes_unpacked_wrongly", "bad-initialisation-small", *FADING, fits=plain_stack)
def bytes_unpacked_wrongly(s: Setup, level: int) -> None:
    """Weights come from a checkpoint of whole numbers, and are divided by the scale once too often (gDefects4DL)."""
    scale = (30.0, 127.0, 1000.0)[level]
    s.spec = replace(s.spec, depth=max(2, s.spec.depth))

    @torch.no_grad()
    def fill(model: Any) -> None:
        for p in model.parameters():
            p.div_(scale)

    s.prepare.append(fill)


class TwoFactors(nn.Module):
    """The head as a product of two maps, both zero: neither gets a gradient."""

    def __init__(self, inner: nn.Module, rank: int) -> None:
        super().__init__()
        parts = list(inner)
        at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear))
        head = parts[at]
        down, up = nn.Linear(head.in_features, rank), nn.Linear(rank, head.out_features)
        for p in (*down.parameters(), *up.parameters()):
            nn.init.zeros_(p)
        self.layers = nn.Sequential(*parts[:at], down, up, *parts[at + 1 :])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@fault("both_factors_zero", "zero-initialisation", *PLATEAU, "LM-VANISH", "LM-FROZEN", fits=KIND.visible)
def both_factors_zero(s: Setup, level: int) -> None:
    """Both factors of a low-rank product begin at zero, where one should (LoRA, Hu et al. 2021; threads on it)."""
    rank = (16, 8, 4)[level]
    s.wrap = lambda model: TwoFactors(model, rank)


@fault("wrong_winding", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.regression)
def wrong_winding(s: Setup, level: int) -> None:
    """An angle's loss, 1 - cos, for numbers that are no angles: a minimum in each turn (Stack Overflow, headings)."""
    speed = (1.5, 2.0, 3.0)[level]
    s.loss = lambda out, y: (1.0 - torch.cos(speed * (out - y))) / speed**2
    s.loss_name = "cosine_of_error"
    start_at(s, 6.2832 / speed * (1.0, 2.0, 3.0)[level])


@fault("boxes_without_overlap", "local-minimum", "LM-MINIMA", *PLATEAU, "LM-VANISH", fits=KIND.regression)
def boxes_without_overlap(s: Setup, level: int) -> None:
    """1 - IoU of intervals: flat where they do not touch, as at the start (GIoU: Rezatofighi et al. 2019)."""
    width, far = (2.0, 1.5, 1.0)[level], (3.5, 4.5, 6.0)[level]

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        shared = (width - (out - y).abs()).clamp(min=0.0)
        return 1.0 - shared / (2.0 * width - shared)

    s.loss, s.loss_name = loss, "iou"
    start_at(s, far)


class Exponent(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x.clamp(max=20.0))


@fault(
    "exponent_output", "wrong-output-activation", OUTPUT, "LM-SPIKE", "LM-EXPLODE", "LM-PLATEAU", fits=KIND.regression
)
def exponent_output(s: Setup, level: int) -> None:
    """exp() behind the last layer, for targets of both signs (DeepDiagnosis: last layer's activation)."""
    s.spec = replace(s.spec, last=Exponent)


@fault("correlation_alone", "wrong-loss-for-target", OUTPUT, "LM-DISAGREE", fits=KIND.regression)
def correlation_alone(s: Setup, level: int) -> None:
    """1 - correlation within a batch says nothing of scale and offset, which are asked for (Pearson's loss, forum)."""
    far = (0.5, 1.5, 4.0)[level]

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        a, b = out - out.mean(), y - y.mean()
        return 1.0 - a * b / ((a**2).mean() * (b**2).mean() + 1e-8).sqrt()

    s.loss, s.loss_name = loss, "correlation"
    start_at(s, far)


@fault("nll_of_probabilities", "wrong-loss-for-target", OUTPUT, *PLATEAU, fits=KIND.multiclass)
def nll_of_probabilities(s: Setup, level: int) -> None:
    """NLLLoss gets softmax's output without a logarithm: rows that are wrong hardly pull (PyTorch forum)."""
    size = (1.0, 0.3, 0.1)[level]
    s.loss = lambda out, y: -size * torch.softmax(out, 1).gather(1, y[:, None])[:, 0]
    s.loss_name = "nll"


class Pooled(nn.Module):
    """Keeps the mean of neighbouring columns."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.many = many

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        many = min(self.many, x.shape[1])
        return nn.functional.adaptive_avg_pool1d(x[:, None, :], many)[:, 0].repeat_interleave(
            -(-x.shape[1] // many), dim=1
        )[:, : x.shape[1]]


@fault("pooled_to_little", "model-too-small", *PLATEAU, repairable=False)
def pooled_to_little(s: Setup, level: int) -> None:
    """Global pooling right behind the input averages what differs (Zhang et al. 2018: network structure)."""
    many = (4, 2, 1)[level]
    s.wrap = lambda model: nn.Sequential(Pooled(many), *model)
