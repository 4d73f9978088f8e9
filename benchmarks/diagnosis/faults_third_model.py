"""Faults of the model, once held out, and of its pairing with the loss, as beginners' forums know them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .faults import HIGH
from .faults_data import thin
from .faults_model import PLATEAU, start_at, weights_of
from .registry import KIND, fault
from .setup import Setup

OUTPUT = "LM-OUTPUT"


def plain_stack(s: Setup) -> bool:
    return s.arch in ("shallow", "deep", "funnel")


def chosen_activation(s: Setup) -> bool:
    return s.arch in ("shallow", "norm", "conv", "funnel", "image")


@fault("units_averaged", "zero-initialisation", *PLATEAU, "LM-VANISH", "LM-DEAD", fits=KIND.visible)
def units_averaged(s: Setup, level: int) -> None:
    """Weights from a checkpoint that was averaged over units: all units of a layer are the same."""

    @torch.no_grad()
    def average(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.copy_(layer.weight.mean(0, keepdim=True).expand_as(layer.weight))
            layer.bias.fill_(float(layer.bias.mean()))
        head = weights_of(model)[-1]
        head.weight.copy_(head.weight.mean(1, keepdim=True).expand_as(head.weight))

    s.prepare.append(average)


class Late(nn.ReLU):
    """Zero below a threshold that hardly any input passes."""

    threshold = 4.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x - self.threshold)


class Later(Late):
    threshold = 7.0


class Latest(Late):
    threshold = 12.0


@fault("late_rectifier", "dead-relu", "LM-DEAD", fits=chosen_activation)
def late_rectifier(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, activation=(Late, Later, Latest)[level])


class Soft(nn.Sigmoid):
    """A sigmoid with a temperature of three."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(x / 3.0)


@fault("soft_sigmoids", "deep-sigmoid", "LM-VANISH", "LM-PLATEAU", "LM-SATURATED", "LM-SLOW", fits=plain_stack)
def soft_sigmoids(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=32, depth=(4, 5, 7)[level], activation=Soft)


@fault("variance_as_deviation", "bad-initialisation-small", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=plain_stack)
def variance_as_deviation(s: Setup, level: int) -> None:
    """The variance that theory asks for is given as the standard deviation, at the higher levels on top of a gain."""

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.normal_(0.0, layer.weight[0].numel() ** (-1.0, -1.5, -2.0)[level])
            layer.bias.zero_()

    s.prepare.append(fill)


@fault(
    "rand_init",
    "bad-initialisation-large",
    *HIGH,
    "LM-SATURATED",
    "LM-SCALE",
    "LM-PLATEAU",
    "LM-OVERFIT",
)
def rand_init(s: Setup, level: int) -> None:
    """Weights from a generator that gives numbers between zero and one (or minus half and half, times five)."""

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            low, high = ((0.0, 1.0), (-2.5, 2.5), (0.0, 5.0))[level]
            layer.weight.uniform_(low, high)

    s.prepare.append(fill)


@fault("probabilities_as_logits", "double-softmax", OUTPUT, fits=KIND.classes)
def probabilities_as_logits(s: Setup, level: int) -> None:
    """The training makes probabilities, and gives them to a loss that takes logits."""
    if s.task == "binary":
        s.loss = lambda out, y: F.binary_cross_entropy_with_logits(torch.sigmoid(out), y, reduction="none")
        s.read = lambda out: torch.sigmoid(torch.sigmoid(out))
    else:
        s.loss = lambda out, y: F.cross_entropy(torch.softmax(out, 1), y, reduction="none")
        s.read = lambda out: torch.softmax(torch.softmax(out, 1), 1)


@fault("raw_divergence", "missing-sigmoid", OUTPUT, fits=KIND.multiclass)
def raw_divergence(s: Setup, level: int) -> None:
    """kl_div wants log-probabilities and gets the raw output."""
    classes = s.classes
    s.loss = lambda out, y: F.kl_div(out, F.one_hot(y, classes).float(), reduction="none").sum(1)
    s.loss_name = "kl_div"


@fault("raw_bernoulli", "missing-sigmoid", OUTPUT, "LM-NAN", fits=KIND.binary)
def raw_bernoulli(s: Setup, level: int) -> None:
    """The Bernoulli log-likelihood, written out by hand, of an output that is no probability."""
    small = (1e-2, 1e-4, 1e-8)[level]
    s.loss = lambda out, y: -(y * torch.log(out.abs() + small) + (1 - y) * torch.log((1 - out).abs() + small))
    s.read = lambda out: out.clamp(1e-4, 1 - 1e-4)
    s.loss_name = "binary_cross_entropy"


@fault("signed_codes", "mse-on-logits", OUTPUT, fits=KIND.classes)
def signed_codes(s: Setup, level: int) -> None:
    """Squared error between logits and codes -1 and 1; the output is still read as logits."""
    binary, classes = s.task == "binary", s.classes
    s.loss = lambda out, y: (
        (out - (2 * y - 1)) ** 2 if binary else ((out - (2 * F.one_hot(y, classes) - 1)) ** 2).mean(1)
    )
    s.loss_name = "mse"


@fault("log_sigmoid_output", "wrong-output-activation", OUTPUT)
def log_sigmoid_output(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.LogSigmoid)


class Clamp(nn.Hardtanh):
    """Clamped to a range that the targets exceed."""

    def __init__(self) -> None:
        super().__init__(-0.6, 0.6)


@fault("clamped_output", "wrong-output-activation", OUTPUT)
def clamped_output(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=Clamp)


@fault("percentage_error", "wrong-loss-for-target", OUTPUT, fits=KIND.regression)
def percentage_error(s: Setup, level: int) -> None:
    """Relative error of targets that pass zero."""
    small = (0.1, 0.03, 0.003)[level]
    s.loss = lambda out, y: (out - y).abs() / (y.abs() + small)
    s.loss_name = "mape"


@fault("hinge_of_codes", "wrong-loss-for-target", OUTPUT, fits=KIND.binary)
def hinge_of_codes(s: Setup, level: int) -> None:
    """The hinge wants -1 and 1 and gets 0 and 1: rows of the first class pull nowhere."""
    s.loss = lambda out, y: torch.relu(1.0 - y * out)
    s.loss_name = "hinge"


@fault("squares_cut_off", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.regression)
def squares_cut_off(s: Setup, level: int) -> None:
    """Squared errors above a limit are cut off, and the training starts beyond it."""
    s.loss = lambda out, y: ((out - y) ** 2).clamp(max=2.0)
    s.loss_name = "truncated squares"
    start_at(s, (3.5, 5.0, 8.0)[level])


@fault("generalised_far", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.classes)
def generalised_far(s: Setup, level: int) -> None:
    """The generalised cross-entropy, nearly linear in the probability, from a start that is sure and wrong."""
    binary, q = s.task == "binary", 0.9

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(out * (2 * y - 1)) if binary else torch.softmax(out, 1).gather(1, y[:, None])[:, 0]
        return (1.0 - p.clamp(min=1e-12) ** q) / q

    s.loss, s.loss_name = loss, "generalised cross-entropy"
    start_at(s, (9.0, 13.0, 18.0)[level])


@fault("alpha_flipped", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.classes)
def alpha_flipped(s: Setup, level: int) -> None:
    """The focal loss with the weight of the rare class given to all others."""
    thin(s, {s.classes - 1: 0.3})
    alpha, rare, inner = (0.9, 0.97, 0.99)[level], s.classes - 1, s.loss

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        each = inner(out, y)
        return torch.where(y == rare, 1.0 - alpha, alpha) * (1.0 - torch.exp(-each)) ** 2 * each

    s.loss, s.loss_name = loss, "focal"


@fault("activations_forgotten", "model-too-small", *PLATEAU, fits=chosen_activation, repairable=False)
def activations_forgotten(s: Setup, level: int) -> None:
    """Layers upon layers with nothing between them: one linear map."""
    s.spec = replace(s.spec, activation=nn.Identity)


@fault("one_unit", "model-too-small", *PLATEAU, fits=lambda s: s.arch == "funnel", repairable=False)
def one_unit(s: Setup, level: int) -> None:
    """A funnel that was made too narrow."""
    s.spec = replace(s.spec, width=(3, 2, 1)[level], depth=1)
