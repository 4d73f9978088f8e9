"""Faults of the data: scale, noise, order, leaks, weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from . import loops
from .faults import HIGH
from .registry import KIND, fault
from .setup import Setup, fading

SCALE = ("LM-SCALE", *HIGH, "LM-SATURATED", "LM-DEAD", "LM-SLOW", "LM-PLATEAU")


def _columns(s: Setup) -> int:
    return s.train[0].shape[1]


@fault("raw_columns", "unscaled-inputs", *SCALE)
def raw_columns(s: Setup, level: int) -> None:
    size = 10.0 ** s.rng.uniform(0.0, (2.0, 3.0, 4.0)[level], _columns(s))
    s.every(lambda x: (x * size).astype(np.float32))


@fault("far_inputs", "unscaled-inputs", *SCALE)
def far_inputs(s: Setup, level: int) -> None:
    far = (20.0, 60.0, 200.0)[level]
    s.every(lambda x: x + np.float32(far))


@fault("tiny_inputs", "unscaled-inputs", *SCALE)
def tiny_inputs(s: Setup, level: int) -> None:
    size = (1e-2, 3e-3, 1e-3)[level]
    s.every(lambda x: x * np.float32(size))


@fault("mixed_units", "unscaled-inputs", *SCALE)
def mixed_units(s: Setup, level: int) -> None:
    size = np.where(s.rng.random(_columns(s)) < 0.3, (100.0, 1000.0, 10000.0)[level], 1.0)
    shift = np.where(size > 1.0, 2.0, 0.0)
    s.every(lambda x: ((x + shift) * size).astype(np.float32))


def retarget(s: Setup, a: float, b: float) -> None:
    s.train, s.valid = ((x, (b * y + a).astype(np.float32)) for x, y in (s.train, s.valid))
    s.read = lambda out: (out - a) / b


@fault("raw_target", "unscaled-target", *SCALE, fits=KIND.regression)
def raw_target(s: Setup, level: int) -> None:
    size = (30.0, 300.0, 3000.0)[level]
    retarget(s, 3.0 * size, size)


@fault("far_target", "unscaled-target", *SCALE, fits=KIND.regression)
def far_target(s: Setup, level: int) -> None:
    retarget(s, (30.0, 100.0, 300.0)[level], 1.0)


@fault("uniform_noise", "label-noise", "LM-LABELS")
def uniform_noise(s: Setup, level: int) -> None:
    share = (0.4, 0.6, 0.8)[level]
    x, y = s.train
    y, hit = y.copy(), np.flatnonzero(s.rng.random(len(y)) < share)
    y[hit] = y[s.rng.permutation(hit)] if s.task == "regression" else s.rng.integers(0, s.classes, len(hit))
    s.train = x, y


@fault("pair_noise", "label-noise", "LM-LABELS", fits=KIND.classes)
def pair_noise(s: Setup, level: int) -> None:
    x, y = s.train
    hit = s.rng.random(len(y)) < (0.3, 0.35, 0.4)[level]
    s.train = x, np.where(hit, (y + 1) % s.classes, y)


@fault("rows_shifted", "label-noise", "LM-LABELS", repairable=False)
def rows_shifted(s: Setup, level: int) -> None:
    s.train = s.train[0], np.roll(s.train[1], (1, 2, 7)[level])  # a join gone wrong: labels of other rows


@fault("label_off_by_one", "label-mismatch", "LM-DISAGREE", "LM-OVERFIT", "LM-LABELS", fits=KIND.classes)
def label_off_by_one(s: Setup, level: int) -> None:
    s.train = s.train[0], (s.train[1] + 1) % s.classes  # in training only: the evaluation reads labels another way


@fault("target_units", "label-mismatch", "LM-DISAGREE", "LM-OVERFIT", "LM-LABELS", fits=KIND.regression)
def target_units(s: Setup, level: int) -> None:
    size = np.float32((-1.0, 3.0, 10.0)[level])
    s.train = s.train[0], s.train[1] * size


@fault("classes_swapped", "label-mismatch", "LM-DISAGREE", "LM-OVERFIT", "LM-LABELS", fits=KIND.multiclass)
def classes_swapped(s: Setup, level: int) -> None:
    order = s.rng.permutation(s.classes)
    order = np.roll(order, 1)[np.argsort(order)]
    s.train = s.train[0], order[s.train[1]]


@fault("eval_not_scaled", "train-eval-mismatch", "LM-OVERFIT", "LM-DISAGREE", "LM-SCALE", repairable=False)
def eval_not_scaled(s: Setup, level: int) -> None:
    size = 10.0 ** s.rng.uniform(0.0, (0.8, 1.2, 2.0)[level], _columns(s))
    shift = s.rng.normal(0.0, (1.0, 2.0, 4.0)[level], _columns(s))
    s.valid, s.test = (((x * size + shift).astype(np.float32), y) for x, y in (s.valid, s.test))


@fault("columns_permuted", "train-eval-mismatch", "LM-OVERFIT", "LM-DISAGREE", "LM-SCALE", repairable=False)
def columns_permuted(s: Setup, level: int) -> None:
    units = s.rng.uniform(0.3, 1.5, _columns(s)), s.rng.normal(0.0, 1.5, _columns(s))
    s.every(lambda x: (x * units[0] + units[1]).astype(np.float32))
    order = s.rng.permutation(_columns(s))
    s.valid, s.test = ((x[:, order], y) for x, y in (s.valid, s.test))


@fault("few_rows", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def few_rows(s: Setup, level: int) -> None:
    overfit(s, (60, 40, 24)[level], 0.0)


@fault("noise_columns", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def noise_columns(s: Setup, level: int) -> None:
    extra = (60, 120, 240)[level]
    rng = s.rng
    s.every(lambda x: np.hstack([x, rng.normal(size=(len(x), extra)).astype(np.float32)]))
    s.spec = replace(s.spec, inputs=s.spec.inputs + extra)
    overfit(s, (150, 100, 80)[level], 0.0)


def overfit(s: Setup, rows: int, decay: float) -> None:
    keep = s.rng.permutation(len(s.train[1]))[:rows]
    if s.task != "regression":  # every class stays
        keep = np.union1d(keep, [np.flatnonzero(s.train[1] == c)[0] for c in range(s.classes)])
    s.train = s.train[0][keep], s.train[1][keep]
    s.batch_size = min(s.batch_size, len(keep) // 2)
    s.weight_decay, s.learning_rate, s.schedule = decay, s.learning_rate * 3.0, None
    s.spec = replace(s.spec, dropout=0.0, width=s.spec.width * 2)


@fault("class_imbalance", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def class_imbalance(s: Setup, level: int) -> None:
    share = (0.1, 0.06, 0.03)[level]
    thin(
        s, {1: share} if s.task == "binary" else dict.fromkeys(range(s.classes // 2 + s.classes % 2, s.classes), share)
    )


@fault("long_tail", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def long_tail(s: Setup, level: int) -> None:
    last = (0.06, 0.04, 0.02)[level]
    thin(s, {c: last ** (c / (s.classes - 1)) for c in range(s.classes)})


def thin(s: Setup, shares: dict[int, float]) -> None:
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        keep = np.ones(len(y), bool)
        for code, share in shares.items():
            rows = np.flatnonzero(y == code)
            keep[rows[max(2, round(share * len(rows))) :]] = False
        setattr(s, part, (x[keep], y[keep]))


@fault("weights_inverted", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.classes)
def weights_inverted(s: Setup, level: int) -> None:
    thin(s, {s.classes - 1: 0.3})
    power = (1.0, 1.5, 2.0)[level]
    counts = np.bincount(s.train[1], minlength=s.classes).astype(float)
    _weigh(s, (counts / counts.mean()) ** power)


@fault("weights_extreme", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.classes)
def weights_extreme(s: Setup, level: int) -> None:
    weights = np.ones(s.classes)
    weights[0] = (15.0, 40.0, 100.0)[level]
    _weigh(s, weights / weights.mean())


def _weigh(s: Setup, weights: np.ndarray) -> None:
    inner, table = s.loss, torch.tensor(weights, dtype=torch.float32)
    s.loss = lambda out, y: table[y.long()] * inner(out, y)


@fault("target_spikes", "outliers", "LM-OUTLIERS", fits=KIND.regression)
def target_spikes(s: Setup, level: int) -> None:
    size = (15.0, 40.0, 100.0)[level]
    for part, share in (("train", 0.04), ("valid", 0.02)):
        x, y = getattr(s, part)
        hit = s.rng.random(len(y)) < share
        setattr(s, part, (x, np.where(hit, y + size * s.rng.choice([1.0, 1.0, -0.3], len(y)), y).astype(np.float32)))


@fault("decimal_shift", "outliers", "LM-OUTLIERS", fits=KIND.regression)
def decimal_shift(s: Setup, level: int) -> None:
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        hit = s.rng.random(len(y)) < 0.03
        setattr(s, part, (x, np.where(hit, (y + 4.0) * (10.0, 30.0, 100.0)[level] - 4.0, y).astype(np.float32)))


@fault("input_outliers", "outliers", "LM-OUTLIERS", "LM-SPIKE", "LM-SCALE")
def input_outliers(s: Setup, level: int) -> None:
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        hit = s.rng.random(len(y)) < 0.04
        setattr(s, part, ((x * np.where(hit, (50.0, 200.0, 1000.0)[level], 1.0)[:, None]).astype(np.float32), y))


@fault("nan_input", "nan-in-data", "LM-NAN", from_start=False)
def nan_input(s: Setup, level: int) -> None:
    x, y = s.train
    x = x.copy()
    x[s.rng.integers(len(x), size=(1, 2, 5)[level]), 0] = np.nan
    s.train = x, y


@fault("infinite_input", "nan-in-data", "LM-NAN", from_start=False)
def infinite_input(s: Setup, level: int) -> None:
    x, y = s.train
    x = x.copy()
    x[s.rng.integers(len(x), size=(1, 2, 5)[level]), -1] = np.inf
    s.train = x, y


@fault("target_leak", "data-leak", "LM-LEAK")
def target_leak(s: Setup, level: int) -> None:
    strength = (3.0, 5.0, 8.0)[level]
    rng = s.rng

    def leak(part: tuple[np.ndarray, np.ndarray], honest: bool) -> tuple[np.ndarray, np.ndarray]:
        x, y = part
        told = (y - y.mean()) / y.std() if not honest else np.zeros(len(y))
        column = strength * told + rng.normal(0.0, 0.1, len(y))
        return np.hstack([x, column[:, None]]).astype(np.float32), y

    s.train, s.valid, s.test = leak(s.train, False), leak(s.valid, False), leak(s.test, True)
    s.spec = replace(s.spec, inputs=s.spec.inputs + 1)


@fault("duplicate_rows", "data-leak", "LM-LEAK", "LM-OVERFIT", repairable=False)
def duplicate_rows(s: Setup, level: int) -> None:
    overfit(s, (80, 60, 40)[level], 0.0)
    pick = s.rng.integers(0, len(s.train[1]), len(s.valid[1]))
    s.valid = s.train[0][pick], s.train[1][pick]


@fault("sorted_batches", "sorted-batches", "LM-SORTED", "LM-OSCILLATE")
def sorted_batches(s: Setup, level: int) -> None:
    s.order, s.schedule = loops.sorted_rows((1, 1, 2)[level]), (fading, None, None)[level]
    s.learning_rate *= (1.0, 1.0, 3.0)[level]


@fault("one_class_batches", "sorted-batches", "LM-SORTED", "LM-OSCILLATE")
def one_class_batches(s: Setup, level: int) -> None:
    s.order, s.schedule = loops.one_value_batches((3, 8, 20)[level]), (fading, None, None)[level]
