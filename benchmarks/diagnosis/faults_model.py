"""Faults of the model and of its pairing with the loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .faults import HIGH
from .registry import KIND, fault
from .setup import Setup

PLATEAU = ("LM-PLATEAU", "LM-SLOW")


def weights_of(model: Any) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]


@fault("zero_init", "zero-initialisation", "LM-PLATEAU", "LM-VANISH", "LM-SLOW", "LM-DEAD", fits=KIND.visible)
def zero_init(s: Setup, level: int) -> None:
    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.zero_()
            layer.bias.zero_()

    s.prepare.append(fill)


@fault("constant_init", "zero-initialisation", "LM-PLATEAU", "LM-VANISH", "LM-SLOW", "LM-DEAD", fits=KIND.visible)
def constant_init(s: Setup, level: int) -> None:
    value = (0.1, 0.03, 0.01)[level]

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.fill_(value)
            layer.bias.zero_()

    s.prepare.append(fill)


@fault("dead_bias", "dead-relu", "LM-DEAD", fits=KIND.rectified)
def dead_bias(s: Setup, level: int) -> None:
    depth = (3.0, 6.0, 12.0)[level]

    @torch.no_grad()
    def sink(model: Any) -> None:
        hidden = weights_of(model)[:-1]
        for layer in hidden:
            layer.bias.sub_(depth)
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.bias.sub_(depth)

    s.prepare.append(sink)


@fault("dead_weights", "dead-relu", "LM-DEAD", fits=lambda s: s.arch == "shallow")
def dead_weights(s: Setup, level: int) -> None:
    shift = (3.0, 6.0, 10.0)[level]  # positive inputs, negative weights
    s.every(lambda x: x + shift)

    @torch.no_grad()
    def sink(model: Any) -> None:
        weights_of(model)[0].weight.copy_(-weights_of(model)[0].weight.abs())

    s.prepare.append(sink)


@fault("deep_sigmoid", "deep-sigmoid", "LM-VANISH", "LM-PLATEAU", "LM-SATURATED", "LM-SLOW", fits=KIND.stacked)
def deep_sigmoid(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=24, depth=(5, 7, 9)[level], activation=nn.Sigmoid)


@fault(
    "deep_hard_sigmoid",
    "deep-sigmoid",
    "LM-VANISH",
    "LM-PLATEAU",
    "LM-SATURATED",
    "LM-SLOW",
    fits=KIND.stacked,
)
def deep_hard_sigmoid(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=24, depth=(6, 8, 10)[level], activation=nn.Hardsigmoid)


@fault("small_init", "bad-initialisation-small", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=KIND.stacked)
def small_init(s: Setup, level: int) -> None:
    _scaled(s, (0.1, 0.03, 0.01)[level] if s.arch == "deep" else (3e-3, 1e-3, 3e-4)[level])


@fault("large_init", "bad-initialisation-large", *HIGH, "LM-SATURATED", "LM-SCALE", "LM-PLATEAU", "LM-OVERFIT")
def large_init(s: Setup, level: int) -> None:
    _scaled(s, (8.0, 15.0, 30.0)[level])


@fault(
    "unit_normal_init",
    "bad-initialisation-large",
    *HIGH,
    "LM-SATURATED",
    "LM-SCALE",
    "LM-PLATEAU",
    "LM-OVERFIT",
)
def unit_normal_init(s: Setup, level: int) -> None:
    spread = (1.0, 2.0, 3.0)[level]

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.normal_(0.0, spread)

    s.prepare.append(fill)


def _scaled(s: Setup, factor: float) -> None:
    @torch.no_grad()
    def scale(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.mul_(factor)

    s.prepare.append(scale)


@fault("double_softmax", "double-softmax", "LM-OUTPUT", fits=KIND.multiclass)
def double_softmax(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.Softmax)


@fault("double_sigmoid", "double-softmax", "LM-OUTPUT", fits=KIND.binary)
def double_sigmoid(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.Sigmoid)


@fault("sigmoid_softmax", "double-softmax", "LM-OUTPUT", fits=KIND.multiclass)
def sigmoid_softmax(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.Sigmoid)


@fault("missing_sigmoid", "missing-sigmoid", "LM-OUTPUT", fits=KIND.binary)
def missing_sigmoid(s: Setup, level: int) -> None:
    edge = (1e-3, 1e-5, 1e-7)[level]
    s.loss = lambda out, y: F.binary_cross_entropy(out.clamp(edge, 1 - edge), y, reduction="none")
    s.read = lambda out: out.clamp(edge, 1 - edge)
    s.loss_name = "binary_cross_entropy"


@fault("missing_softmax", "missing-sigmoid", "LM-OUTPUT", fits=KIND.multiclass)
def missing_softmax(s: Setup, level: int) -> None:
    s.loss = lambda out, y: F.nll_loss(out, y, reduction="none")
    s.loss_name = "nll_loss"


@fault("log_of_raw", "missing-sigmoid", "LM-OUTPUT", "LM-NAN", fits=KIND.multiclass)
def log_of_raw(s: Setup, level: int) -> None:
    edge = (1e-3, 1e-5, 1e-7)[level]
    s.loss = lambda out, y: -torch.log(out.clamp(edge, 1.0)).gather(1, y[:, None])[:, 0]
    s.read = lambda out: out.clamp(edge, 1.0) / out.clamp(edge, 1.0).sum(1, keepdim=True)
    s.loss_name = "categorical_crossentropy"


@fault("mse_on_logits", "mse-on-logits", "LM-OUTPUT", fits=KIND.binary)
def mse_on_logits(s: Setup, level: int) -> None:
    s.loss = lambda out, y: (out - y) ** 2
    s.loss_name = "mse"


@fault("mse_one_hot", "mse-on-logits", "LM-OUTPUT", fits=KIND.multiclass)
def mse_one_hot(s: Setup, level: int) -> None:
    classes = s.classes
    s.loss = lambda out, y: ((out - F.one_hot(y, classes)) ** 2).mean(1)
    s.loss_name = "mse"


@fault("mae_on_logits", "mse-on-logits", "LM-OUTPUT", fits=KIND.classes)
def mae_on_logits(s: Setup, level: int) -> None:
    classes, binary = s.classes, s.task == "binary"
    s.loss = lambda out, y: (out - y).abs() if binary else (out - F.one_hot(y, classes)).abs().mean(1)
    s.loss_name = "l1"


@fault("relu_output", "wrong-output-activation", "LM-OUTPUT")
def relu_output(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.ReLU)


@fault("sigmoid_output", "wrong-output-activation", "LM-OUTPUT", fits=KIND.regression)
def sigmoid_output(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.Sigmoid)


@fault("tanh_output", "wrong-output-activation", "LM-OUTPUT")
def tanh_output(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, last=nn.Tanh)


@fault("poisson_on_signed", "wrong-loss-for-target", "LM-OUTPUT", fits=KIND.regression)
def poisson_on_signed(s: Setup, level: int) -> None:
    s.loss = lambda out, y: torch.exp(out) - y * out
    s.loss_name = "poisson"


@fault("one_sided_loss", "wrong-loss-for-target", "LM-OUTPUT", fits=KIND.regression)
def one_sided_loss(s: Setup, level: int) -> None:
    q = (0.95, 0.98, 0.99)[level]
    s.loss = lambda out, y: torch.maximum(q * (y - out), (q - 1.0) * (y - out))
    s.loss_name = "quantile"


@fault("codes_as_numbers", "wrong-loss-for-target", "LM-OUTPUT", fits=KIND.multiclass)
def codes_as_numbers(s: Setup, level: int) -> None:
    s.loss = lambda out, y: (out.mean(1) - y) ** 2
    s.loss_name = "mse"


@fault("softmax_of_one", "wrong-loss-for-target", "LM-OUTPUT", "LM-FROZEN", "LM-PLATEAU", fits=KIND.binary)
def softmax_of_one(s: Setup, level: int) -> None:
    s.loss = lambda out, y: F.cross_entropy(out[:, None], torch.zeros(len(y), dtype=torch.long), reduction="none")
    s.loss_name = "cross_entropy"


@fault("far_redescending", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.regression)
def far_redescending(s: Setup, level: int) -> None:
    far, c2 = (4.0, 6.0, 9.0)[level], 4.685**2 / 4.0
    s.loss = lambda out, y: c2 / 6.0 * (1.0 - (1.0 - ((out - y) ** 2 / c2).clamp(max=1.0)) ** 3)
    s.loss_name = "tukey"
    start_at(s, far)


@fault("far_ramp", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.classes)
def far_ramp(s: Setup, level: int) -> None:
    far = (6.0, 10.0, 15.0)[level]
    binary = s.task == "binary"
    # The probability of a mistake: bounded, so rows that are surely wrong pull no more.
    s.loss = lambda out, y: (
        torch.sigmoid(out * (1 - 2 * y)) if binary else 1.0 - torch.softmax(out, 1).gather(1, y[:, None])[:, 0]
    )
    s.loss_name = "ramp"
    start_at(s, far)


@fault("far_welsch", "local-minimum", "LM-MINIMA", *PLATEAU, fits=KIND.regression)
def far_welsch(s: Setup, level: int) -> None:
    far = (3.0, 4.5, 6.0)[level]
    s.loss = lambda out, y: 1.0 - torch.exp(-((out - y) ** 2) / 2.0)
    s.loss_name = "welsch"
    start_at(s, far)


def start_at(s: Setup, far: float) -> None:
    @torch.no_grad()
    def shift(model: Any) -> None:
        head = weights_of(model)[-1].bias
        head[0] += far

    s.prepare.append(shift)


@fault("bottleneck", "model-too-small", "LM-PLATEAU", "LM-SLOW", fits=KIND.open_layers, repairable=False)
def bottleneck(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=1)


def narrow(s: Setup) -> bool:
    return s.task == "multiclass" and KIND.open_layers(s)


@fault("tiny_linear", "model-too-small", "LM-PLATEAU", "LM-SLOW", fits=narrow, repairable=False)
def tiny_linear(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=1 + (1 if s.arch == "conv" else 0), activation=nn.Identity)
