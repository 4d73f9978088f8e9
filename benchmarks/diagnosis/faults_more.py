"""More ways into causes that had one or two: what the article's readers do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from . import loops
from .faults import HIGH, STILL
from .faults_data import SCALE
from .faults_model import weights_of
from .registry import KIND, fault
from .setup import Setup


@fault("lr_far_low", "learning-rate-too-low", *STILL)
def lr_far_low(s: Setup, level: int) -> None:
    s.learning_rate *= s.about((3e-3, 3e-4, 3e-5)[level], 0.5)
    s.schedule = None


@fault("lr_far_high", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def lr_far_high(s: Setup, level: int) -> None:
    s.learning_rate *= s.about((100.0, 500.0, 2000.0)[level], 0.3)
    s.schedule = None


@fault("rate_of_another", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED", fits=lambda s: s.adaptive)
def rate_of_another(s: Setup, level: int) -> None:
    s.learning_rate, s.schedule = (0.1, 0.3, 1.0)[level], None  # a rate for plain descent, given to Adam


@fault("rate_of_adam", "learning-rate-too-low", *STILL, fits=KIND.descent)
def rate_of_adam(s: Setup, level: int) -> None:
    s.learning_rate, s.schedule = (1e-3, 1e-4, 1e-5)[level] * (1.0 if s.optimizer_name == "plain sgd" else 0.1), None


@fault("huge_batches", "too-few-steps", "LM-SLOW")
def huge_batches(s: Setup, level: int) -> None:
    s.batch_size, s.steps = len(s.train[1]), (40, 25, 15)[level]


@fault("one_pass", "too-few-steps", "LM-SLOW")
def one_pass(s: Setup, level: int) -> None:
    s.steps = max(4, len(s.train[1]) // s.batch_size)
    s.schedule = s.manner.schedule(s.steps) if s.manner is not None and level else s.schedule


@fault("dropout_on_inputs", "dropout-too-high", "LM-PLATEAU", "LM-SLOW")
def dropout_on_inputs(s: Setup, level: int) -> None:
    share = (0.8, 0.9, 0.95)[level]
    s.wrap = lambda model: nn.Sequential(nn.Dropout(share), *model)


@fault("tiny_normal_init", "bad-initialisation-small", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=KIND.stacked)
def tiny_normal_init(s: Setup, level: int) -> None:
    spread = s.about((0.01, 3e-3, 1e-3)[level] if s.arch == "deep" else (1e-3, 3e-4, 1e-4)[level])

    @torch.no_grad()
    def fill(model: Any) -> None:
        for layer in weights_of(model):
            layer.weight.normal_(0.0, spread)
            layer.bias.zero_()

    s.prepare.append(fill)


@fault("noisy_batches", "batch-too-small", "LM-OSCILLATE", "LM-SPIKE", fits=lambda s: not s.spec.norm)
def noisy_batches(s: Setup, level: int) -> None:
    s.batch_size, s.schedule = (4, 2, 1)[level], None
    s.learning_rate *= 2.0


@fault("bn_frozen", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def bn_frozen(s: Setup, level: int) -> None:
    shift = (5.0, 10.0, 30.0)[level]
    s.every(lambda x: x * shift + shift)
    s.step = loops.norms_frozen


@fault("negative_weights", "dead-relu", "LM-DEAD", fits=KIND.rectified)
def negative_weights(s: Setup, level: int) -> None:
    @torch.no_grad()
    def sink(model: Any) -> None:
        for layer in weights_of(model)[:-1]:
            layer.bias.sub_((4.0, 8.0, 15.0)[level] * layer.weight.std() * np.sqrt(layer.weight[0].numel()))
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.bias.sub_((4.0, 8.0, 15.0)[level])

    s.prepare.append(sink)


@fault("squashed_layers", "deep-sigmoid", "LM-VANISH", "LM-PLATEAU", "LM-SLOW", fits=KIND.stacked)
def squashed_layers(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, width=16, depth=(4, 6, 8)[level], activation=nn.Sigmoid)
    s.learning_rate *= 0.5


@fault("scaled_inputs", "unscaled-inputs", *SCALE)
def scaled_inputs(s: Setup, level: int) -> None:
    size = s.about((30.0, 150.0, 1000.0)[level])
    s.every(lambda x: (x * size).astype(np.float32))


@fault("classes_thinned", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def classes_thinned(s: Setup, level: int) -> None:
    from .faults_data import thin

    rare = int(s.rng.integers(s.classes))
    thin(s, {rare: (0.08, 0.05, 0.03)[level]})


@fault("far_geman", "local-minimum", "LM-MINIMA", "LM-PLATEAU", "LM-SLOW", fits=KIND.regression)
def far_geman(s: Setup, level: int) -> None:
    from .faults_model import start_at

    scale = (0.3, 0.2, 0.1)[level]
    s.loss = lambda out, y: (out - y) ** 2 / (scale + (out - y) ** 2)
    s.loss_name = "geman_mcclure"
    start_at(s, (4.0, 6.0, 9.0)[level])


@fault("few_rows_long", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def few_rows_long(s: Setup, level: int) -> None:
    from .faults_data import overfit

    overfit(s, (80, 50, 30)[level], 0.0)
    s.learning_rate /= 2.0
    s.steps = int(1.5 * s.steps)
