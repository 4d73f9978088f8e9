"""Faults of the data, once held out, as they come from joins, encoders, sensors and samplers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .faults_data import SCALE, overfit, retarget, thin
from .registry import KIND, fault
from .setup import Setup

MISMATCH = ("LM-DISAGREE", "LM-OVERFIT", "LM-LABELS")


@fault("date_column", "unscaled-inputs", *SCALE)
def date_column(s: Setup, level: int) -> None:
    """A date written as a number: the year, days of an era, yyyymmdd."""
    at = int(s.rng.integers(s.train[0].shape[1]))
    offset, size = ((2000.0, 10.0), (738_000.0, 2000.0), (20_150_000.0, 50_000.0))[level]

    def written(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[:, at] = offset + size * x[:, at]
        return x

    s.every(written)


@fault("logs_forgotten", "unscaled-inputs", *SCALE, "LM-OUTLIERS")
def logs_forgotten(s: Setup, level: int) -> None:
    """Amounts go in as they are, where their logarithm was meant: skewed over many powers of ten."""
    power = (1.5, 2.0, 3.0)[level]
    s.every(lambda x: np.exp(np.clip(power * x, -12.0, 12.0)).astype(np.float32))


@fault("kelvin_target", "unscaled-target", *SCALE, fits=KIND.regression)
def kelvin_target(s: Setup, level: int) -> None:
    """Temperatures in kelvin, pressures in hectopascal, prices: far from zero beside their spread."""
    retarget(s, *((273.0, 8.0), (1013.0, 12.0), (20_000.0, 400.0))[level])


@fault("annotator_guessing", "label-noise", "LM-LABELS")
def annotator_guessing(s: Setup, level: int) -> None:
    """One annotator had a whole region of the data, and guessed."""
    x, y = s.train
    y, share = y.copy(), (0.5, 0.65, 0.8)[level]
    value = x @ s.rng.normal(size=x.shape[1])
    hit = np.flatnonzero(value < np.quantile(value, share))
    y[hit] = y[s.rng.permutation(hit)] if s.task == "regression" else s.rng.integers(0, s.classes, len(hit))
    s.train = x, y


@fault("standardised_apart", "label-mismatch", *MISMATCH, fits=KIND.regression)
def standardised_apart(s: Setup, level: int) -> None:
    """The training's targets were scaled by another mean and spread than those of the evaluation."""
    shift, size = ((1.0, 1.0), (0.7, 2.0), (-1.5, 0.3))[level]
    s.train = s.train[0], (s.train[1] * size + shift).astype(np.float32)


@fault("codes_merged", "label-mismatch", *MISMATCH, fits=KIND.multiclass)
def codes_merged(s: Setup, level: int) -> None:
    """The training carries the codes of coarse classes, the evaluation those of fine ones."""
    merge = np.arange(s.classes)
    merge[1::2] -= 1
    merge = merge[::-1].copy() if level == 2 else merge
    s.train = s.train[0], merge[s.train[1]]


@fault("columns_missing", "train-eval-mismatch", "LM-OVERFIT", "LM-DISAGREE", "LM-SCALE", repairable=False)
def columns_missing(s: Setup, level: int) -> None:
    """Some columns are not known where the model is used, and come as a constant."""
    gone = s.rng.random(s.train[0].shape[1]) < (0.4, 0.5, 0.6)[level]
    fill = np.float32((0.0, -2.0, 3.0)[level])
    s.valid, s.test = ((np.where(gone, fill, x).astype(np.float32), y) for x, y in (s.valid, s.test))


@fault("random_features", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def random_features(s: Setup, level: int) -> None:
    """Hundreds of fast waves of the columns are added, without any decay."""
    rng, many = s.rng, (100, 200, 300)[level]
    table, phase = 2.0 * rng.normal(size=(s.train[0].shape[1], many)), rng.uniform(0.0, 6.28, many)
    s.every(lambda x: np.hstack([x, np.cos(x @ table + phase)]).astype(np.float32))
    s.spec = replace(s.spec, inputs=s.spec.inputs + many)
    overfit(s, (200, 150, 100)[level], 0.0)


@fault("majority_copied", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def majority_copied(s: Setup, level: int) -> None:
    """A crawler met pages of one class again and again: each of its rows is there many times."""
    times = (10, 20, 40)[level]
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        rows = np.concatenate([np.arange(len(y)), np.tile(np.flatnonzero(y == 0), times - 1)])
        setattr(s, part, (x[rows], y[rows]))


@fault("sampler_inverted", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.classes)
def sampler_inverted(s: Setup, level: int) -> None:
    """A sampler that should draw rare classes more often draws them less often."""
    thin(s, {s.classes - 1: 0.3})
    power = (1.5, 2.5, 4.0)[level]

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        chance = np.bincount(y)[y].astype(float) ** power
        while True:
            yield rng.choice(len(y), size, p=chance / chance.sum())

    s.order = order


@fault("cauchy_noise", "outliers", "LM-OUTLIERS", fits=KIND.regression)
def cauchy_noise(s: Setup, level: int) -> None:
    """A tenth of the targets carries errors with Cauchy's tails."""
    scale = (2.0, 5.0, 15.0)[level]
    rng = s.rng
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        wrong = np.clip(scale * rng.standard_cauchy(len(y)), -40.0 * scale, 40.0 * scale)
        setattr(s, part, (x, np.where(rng.random(len(y)) < 0.1, y + wrong, y).astype(np.float32)))


@fault("sentinel_inputs", "outliers", "LM-OUTLIERS", "LM-SPIKE", "LM-SCALE")
def sentinel_inputs(s: Setup, level: int) -> None:
    """A sensor says -999 where it has no value, in some rows of some columns, in training and validation."""
    rng, code = s.rng, np.float32((-99.0, -999.0, -9999.0)[level])
    columns = rng.random(s.train[0].shape[1]) < 0.3
    columns[0] = True
    for part in ("train", "valid"):
        x, y = getattr(s, part)
        setattr(s, part, (np.where(columns & (rng.random(x.shape) < 0.02), code, x).astype(np.float32), y))


@fault("log_of_zero", "nan-in-data", "LM-NAN", from_start=False)
def log_of_zero(s: Setup, level: int) -> None:
    """The logarithm of a column that is zero in a few rows of the training."""
    x, y = s.train
    x = x.copy()
    x[s.rng.integers(len(x), size=(1, 2, 4)[level]), 1] = -np.inf
    s.train = x, y


@fault("target_encoding", "data-leak", "LM-LEAK")
def target_encoding(s: Setup, level: int) -> None:
    """A column holds the mean target of a small group, the row itself included; where it counts, groups are new."""
    rng, size = s.rng, (3, 2, 1)[level]

    def encode(part: tuple[np.ndarray, np.ndarray], honest: bool) -> tuple[np.ndarray, np.ndarray]:
        x, y = part
        value = (y - s.train[1].mean()) / s.train[1].std()
        groups = rng.permutation(len(y)) // size
        told = np.bincount(groups, value) / np.bincount(groups)
        return np.hstack([x, (np.zeros(len(y)) if honest else told[groups])[:, None]]).astype(np.float32), y

    s.train, s.valid, s.test = encode(s.train, False), encode(s.valid, False), encode(s.test, True)
    s.spec = replace(s.spec, inputs=s.spec.inputs + 1)


@fault("shards", "sorted-batches", "LM-SORTED", "LM-OSCILLATE")
def shards(s: Setup, level: int) -> None:
    """Files hold one class each, or a band of targets: files are shuffled, rows only within their file."""
    s.schedule, hold = None, (3, 6, 12)[level]

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        rows = np.argsort(y, kind="stable")
        files = np.array_split(rows, max(3, len(rows) // (size * hold)))
        while True:
            for number in rng.permutation(len(files)):
                own = rng.permutation(files[number])
                for start in range(0, max(1, len(own) - size + 1), size):
                    yield own[start : start + size]

    s.order = order
