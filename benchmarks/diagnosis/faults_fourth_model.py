"""Faults of the model and of its pairing with the loss from published catalogues and forums; see `faults_fourth.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .faults import HIGH
from .faults_model import PLATEAU, weights_of
from .registry import KIND, fault
from .setup import Setup

OUTPUT = "LM-OUTPUT"


def plain_stack(s: Setup) -> bool:
    return s.arch in ("shallow", "deep", "funnel")


def chosen_activation(s: Setup) -> bool:
    return s.arch in ("shallow", "norm", "conv", "funnel", "image", "dense")


@fault("constant_by_fan", "zero-initialisation", *PLATEAU, "LM-VANISH", "LM-DEAD", fits=KIND.visible)
def constant_by_fan(s: Setup, level: int) -> None:
    """A constant of the size that theory advises for random weights (DeepCrime WCI, constant initialiser)."""
    sign = (1.0, -1.0, 0.5)[level]

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.fill_(sign * layer.weight[0].numel() ** -0.5)
            layer.bias.zero_()

    s.prepare.append(fill)


class Shifted(nn.Module):
    """The logarithm of shares, all of them negative, goes through a rectifier first."""

    def __init__(self, down: float) -> None:
        super().__init__()
        self.down, self.relu = down, nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x - self.down)


@fault("rectified_logarithms", "dead-relu", "LM-DEAD", "LM-PLATEAU")
def rectified_logarithms(s: Setup, level: int) -> None:
    """A rectifier right behind inputs that are negative throughout (DeepLocalize: activation at the wrong place)."""
    down = (2.5, 4.0, 8.5)[level]
    s.wrap = lambda model: nn.Sequential(Shifted(down), *model)


class Twice(nn.ReLU):
    """A rectifier behind an activation that is never positive."""

    edge = 0.03

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(F.logsigmoid(x) + self.edge)


class TwiceStrict(Twice):
    edge = 0.005


class TwiceAlways(Twice):
    edge = 0.0


@fault("activation_behind_another", "dead-relu", "LM-DEAD", "LM-PLATEAU", fits=chosen_activation)
def activation_behind_another(s: Setup, level: int) -> None:
    """Two activations in a row, the second cuts off all that the first gives (NeuraLint: redundant activation)."""
    s.spec = replace(s.spec, activation=(Twice, TwiceStrict, TwiceAlways)[level])


class HiddenSoftmax(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, 1)


@fault("softmax_between_layers", "deep-sigmoid", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=plain_stack)
def softmax_between_layers(s: Setup, level: int) -> None:
    """Softmax as the activation of hidden layers (DeepCrime ACH; DeepFD: activation; Stack Overflow)."""
    s.spec = replace(s.spec, width=24, depth=(3, 4, 6)[level], activation=HiddenSoftmax)


class Squashed(nn.Sigmoid):
    """A sigmoid of a hyperbolic tangent."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(torch.tanh(x))


@fault("squashed_twice", "deep-sigmoid", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=plain_stack)
def squashed_twice(s: Setup, level: int) -> None:
    """Layers bring their activation, and another follows (NeuraLint; DeepLocalize)."""
    s.spec = replace(s.spec, width=24, depth=(4, 6, 8)[level], activation=Squashed)


class Scaled(nn.Module):
    """One learned factor a unit."""

    def __init__(self, width: int, begin: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((width,), begin))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


@fault("factors_begin_tiny", "bad-initialisation-small", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=plain_stack)
def factors_begin_tiny(s: Setup, level: int) -> None:
    """Factors of units begin near zero, where there is no skip connection (LayerScale: Touvron et al. 2021)."""
    begin = (1e-2, 1e-3, 1e-4)[level]

    def wrap(model: Any) -> nn.Sequential:
        parts: list[nn.Module] = []
        linears = sum(isinstance(part, nn.Linear) for part in model)
        for part in model:
            parts.append(part)
            linears -= isinstance(part, nn.Linear)
            if isinstance(part, nn.Linear) and linears:
                parts.append(Scaled(part.out_features, begin))
        return nn.Sequential(*parts)

    s.wrap = wrap


@fault("hundredth_of_rand", "bad-initialisation-small", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=plain_stack)
def hundredth_of_rand(s: Setup, level: int) -> None:
    """Weights are a hundredth of numbers between zero and one (first lessons; AUTOTRAINER: vanishing gradient)."""
    size = (0.01, 3e-3, 5e-4)[level]

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.uniform_(0.0, size)
            layer.bias.zero_()

    s.prepare.append(fill)


@fault(
    "biases_begin_wide",
    "bad-initialisation-large",
    *HIGH,
    "LM-SATURATED",
    "LM-SCALE",
    *PLATEAU,
    "LM-DEAD",
    fits=KIND.visible,
)
def biases_begin_wide(s: Setup, level: int) -> None:
    """A bias initialiser with a deviation of many units (change of bias initialisers: Kim, Humbatova et al. 2023)."""
    spread = (5.0, 15.0, 50.0)[level]

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.bias.normal_(0.0, spread)

    s.prepare.append(fill)


@fault("softmax_over_rows", "double-softmax", OUTPUT, fits=KIND.multiclass)
def softmax_over_rows(s: Setup, level: int) -> None:
    """Softmax along the batch, and a loss that does it again along the classes (Stack Overflow, implicit dim)."""
    s.loss = lambda out, y: F.cross_entropy(torch.softmax(out, 0), y, reduction="none")
    s.read = lambda out: torch.softmax(torch.softmax(out, 0), 1)


@fault("focal_of_probabilities", "double-softmax", OUTPUT, fits=KIND.classes)
def focal_of_probabilities(s: Setup, level: int) -> None:
    """A focal loss that takes logits gets a model that makes probabilities (threads on focal losses)."""
    gamma, binary, inner = (0.5, 1.0, 2.0)[level], s.task == "binary", s.loss
    said = torch.sigmoid if binary else lambda out: torch.softmax(out, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        each = inner(said(out), y)
        return (1.0 - torch.exp(-each)) ** gamma * each

    s.loss, s.loss_name = loss, "focal"
    s.read = lambda out: torch.sigmoid(said(out)) if binary else torch.softmax(said(out), 1)


@fault("focal_of_raw", "missing-sigmoid", OUTPUT, fits=KIND.classes)
def focal_of_raw(s: Setup, level: int) -> None:
    """A focal loss that takes probabilities gets raw scores, clipped to their range (threads on focal losses)."""
    edge, binary = (1e-3, 1e-5, 1e-7)[level], s.task == "binary"

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = out.clamp(edge, 1.0 - edge)
        p = torch.where(y > 0.5, p, 1.0 - p) if binary else p.gather(1, y[:, None])[:, 0]
        return -((1.0 - p) ** 2) * torch.log(p)

    s.loss, s.loss_name = loss, "focal"
    kept = lambda out: out.clamp(edge, 1.0 - edge)  # noqa: E731
    s.read = kept if binary else lambda out: kept(out) / kept(out).sum(1, keepdim=True)


@fault("dice_of_raw", "missing-sigmoid", OUTPUT, "LM-NAN", "LM-DIVERGE", "LM-EXPLODE", fits=KIND.binary)
def dice_of_raw(s: Setup, level: int) -> None:
    """The Dice loss of raw scores: its denominator passes zero (segmentation threads: losses below zero)."""
    smooth = (1.0, 0.1, 1e-3)[level]
    s.loss = lambda out, y: 1.0 - (2.0 * out * y + smooth) / (out + y + smooth)
    s.read = lambda out: out.clamp(1e-4, 1.0 - 1e-4)
    s.loss_name = "dice"


def _codes(s: Setup) -> Any:
    classes, binary = s.classes, s.task == "binary"
    return lambda y: y if binary else F.one_hot(y, classes).float()


def _each(values: torch.Tensor) -> torch.Tensor:
    return values if values.ndim == 1 else values.mean(1)


@fault("log_cosh_of_codes", "mse-on-logits", OUTPUT, fits=KIND.classes)
def log_cosh_of_codes(s: Setup, level: int) -> None:
    """log-cosh between logits and codes (DeepCrime LCH, changes the loss)."""
    code = _codes(s)
    s.loss = lambda out, y: _each(F.softplus(2.0 * (out - code(y))) - (out - code(y)) - 0.6931)
    s.loss_name = "log_cosh"


@fault("squared_log_of_codes", "mse-on-logits", OUTPUT, fits=KIND.classes)
def squared_log_of_codes(s: Setup, level: int) -> None:
    """Squared difference of logarithms between logits and codes (DeepCrime LCH, changes the loss)."""
    code = _codes(s)
    s.loss = lambda out, y: _each((torch.log1p(out.clamp(min=0.0)) - torch.log1p(code(y))) ** 2)
    s.loss_name = "msle"


@fault(
    "softmax_of_one_unit",
    "wrong-output-activation",
    OUTPUT,
    "LM-FROZEN",
    "LM-PLATEAU",
    fits=lambda s: s.task != "multiclass",
)
def softmax_of_one_unit(s: Setup, level: int) -> None:
    """Softmax over a single unit says one, always (DeepLocalize; UMLAUT; Stack Overflow)."""
    s.spec = replace(s.spec, last=nn.Softmax)


class Unit(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x, dim=1)


@fault("unit_length_scores", "wrong-output-activation", OUTPUT, "LM-PLATEAU", fits=KIND.multiclass)
def unit_length_scores(s: Setup, level: int) -> None:
    """Scores are cut to length one and get no temperature: no class can be sure (threads on cosine classifiers)."""
    s.spec = replace(s.spec, last=Unit)


@fault("bernoulli_of_numbers", "wrong-loss-for-target", OUTPUT, "LM-DIVERGE", "LM-EXPLODE", fits=KIND.regression)
def bernoulli_of_numbers(s: Setup, level: int) -> None:
    """Binary cross-entropy of targets outside 0 and 1: it falls without end (DeepFD; Stack Overflow, negative loss)."""
    s.loss = lambda out, y: F.binary_cross_entropy_with_logits(out, y, reduction="none")
    s.loss_name = "binary_cross_entropy"


@fault("targets_broadcast", "wrong-loss-for-target", OUTPUT, *PLATEAU, fits=KIND.regression)
def targets_broadcast(s: Setup, level: int) -> None:
    """Predictions (n,) meet targets (n, 1): each is compared with all (pytorch#16045)."""
    s.loss = lambda out, y: ((out[None, :] - y[:, None]) ** 2).mean(0)


@fault("codes_into_bernoulli", "wrong-loss-for-target", OUTPUT, "LM-DIVERGE", "LM-EXPLODE", fits=KIND.multiclass)
def codes_into_bernoulli(s: Setup, level: int) -> None:
    """Binary cross-entropy of class codes 0 to k, not one-hot (DeepFD: loss; Stack Overflow)."""
    s.loss = lambda out, y: F.binary_cross_entropy_with_logits(
        out, y[:, None].float().expand_as(out), reduction="none"
    ).mean(1)
    s.loss_name = "binary_cross_entropy"


@fault("waist_of_one", "model-too-small", *PLATEAU, fits=KIND.multiclass, repairable=False)
def waist_of_one(s: Setup, level: int) -> None:
    """One layer in the middle has a single unit (taxonomy: number of neurons; Kim, Humbatova et al. 2023)."""

    def wrap(model: Any) -> nn.Sequential:
        parts = list(model)
        at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear))
        wide = parts[at].in_features
        waist = [nn.Linear(wide, 1), nn.Linear(1, wide), nn.ReLU()]
        return nn.Sequential(*parts[:at], *waist, *parts[at:])

    s.wrap = wrap
