"""Faults of the data from published catalogues and forums; see `faults_fourth.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from .faults_data import SCALE, _weigh, overfit, thin
from .registry import KIND, fault
from .setup import Setup

MISMATCH = ("LM-DISAGREE", "LM-OVERFIT", "LM-LABELS")


@fault("row_number_column", "unscaled-inputs", *SCALE)
def row_number_column(s: Setup, level: int) -> None:
    """The row's number was left among the columns (taxonomy of real faults: preprocessing)."""
    size, start = (1.0, 100.0, 1e4)[level], 0
    for part in ("train", "valid", "test"):
        x, y = getattr(s, part)
        number = size * (start + np.arange(len(y)))
        start += len(y)
        setattr(s, part, (np.hstack([x, number[:, None]]).astype(np.float32), y))
    s.spec = replace(s.spec, inputs=s.spec.inputs + 1)


@fault("scaled_as_one", "unscaled-inputs", *SCALE)
def scaled_as_one(s: Setup, level: int) -> None:
    """Columns of many units are standardised by one mean and one deviation of the whole table (Stack Overflow)."""
    columns = s.train[0].shape[1]
    size = 10.0 ** s.rng.uniform(0.0, (2.0, 3.0, 4.0)[level], columns)
    shift = s.rng.uniform(-2.0, 2.0, columns)
    table = (s.train[0] + shift) * size
    mean, spread = table.mean(), table.std()
    s.every(lambda x: (((x + shift) * size - mean) / spread).astype(np.float32))


@fault("squeezed_by_extremes", "unscaled-inputs", *SCALE)
def squeezed_by_extremes(s: Setup, level: int) -> None:
    """Columns are put between 0 and 1 by an extreme far from all rows (scikit-learn's note on MinMaxScaler)."""
    top = s.about((200.0, 1000.0, 5000.0)[level])
    s.every(lambda x: ((x + 8.0) / top).astype(np.float32))


@fault("price_without_logarithm", "unscaled-target", *SCALE, "LM-OUTLIERS", fits=KIND.regression)
def price_without_logarithm(s: Setup, level: int) -> None:
    """Prices in their unit and with their tail, where logarithms were meant (taxonomy: preprocessing)."""
    unit = np.float32((30.0, 1000.0, 30_000.0)[level])
    s.train, s.valid = ((x, (unit * np.exp(0.7 * y)).astype(np.float32)) for x, y in (s.train, s.valid))
    s.read = lambda out: torch.log((out / float(unit)).clamp(min=0.01)) / 0.7


@fault("classes_overlap", "label-noise", "LM-LABELS", fits=KIND.classes)
def classes_overlap(s: Setup, level: int) -> None:
    """Rows are there twice, under two labels (DeepCrime OCO, makes output classes overlap)."""
    x, y = s.train
    again = s.rng.permutation(len(y))[: int((0.6, 0.8, 1.0)[level] * len(y))]
    other = (y[again] + s.rng.integers(1, s.classes, len(again))) % s.classes
    s.train = np.concatenate([x, x[again]]), np.concatenate([y, other])


@fault("labels_of_the_commonest", "label-noise", "LM-LABELS", fits=KIND.multiclass)
def labels_of_the_commonest(s: Setup, level: int) -> None:
    """Rows of the two commonest labels get any label (DeepCrime TCL, changes labels)."""
    x, y = s.train
    common = np.argsort(-np.bincount(y, minlength=s.classes), kind="stable")[:2]
    hit = np.isin(y, common) & (s.rng.random(len(y)) < (0.6, 0.8, 0.95)[level])
    s.train = x, np.where(hit, s.rng.integers(0, s.classes, len(y)), y)


@fault("logged_in_training", "label-mismatch", *MISMATCH, fits=KIND.regression)
def logged_in_training(s: Setup, level: int) -> None:
    """The training learns a bent target, the evaluation compares the plain one (Stack Overflow, inverse_transform)."""
    x, y = s.train
    bent = (np.log(y - y.min() + 0.1), np.exp(y), -np.log(y.max() - y + 0.1) * 2.0)[level]
    s.train = x, bent.astype(np.float32)


@fault(
    "noise_on_training_rows",
    "train-eval-mismatch",
    "LM-OVERFIT",
    "LM-DISAGREE",
    "LM-SCALE",
    "LM-PLATEAU",
    repairable=False,
)
def noise_on_training_rows(s: Setup, level: int) -> None:
    """Noise lies on the training's rows alone (DeepCrime TAN, adds noise to training data)."""
    x, y = s.train
    s.train = (x + (1.5, 2.5, 4.0)[level] * s.rng.normal(size=x.shape)).astype(np.float32), y


@fault("augmented_evaluation", "train-eval-mismatch", "LM-OVERFIT", "LM-DISAGREE", "LM-SCALE", repairable=False)
def augmented_evaluation(s: Setup, level: int) -> None:
    """Random transforms meant for the training are done to the evaluation's rows (PyTorch forum)."""
    rng, share = s.rng, (0.3, 0.45, 0.6)[level]

    def changed(x: np.ndarray) -> np.ndarray:
        x = np.where(rng.random(x.shape) < share, 0.0, x) * rng.uniform(0.5, 2.0, (len(x), 1))
        return (x + 0.5 * rng.normal(size=x.shape)).astype(np.float32)

    s.valid, s.test = ((changed(x), y) for x, y in (s.valid, s.test))


@fault("network_grown", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def network_grown(s: Setup, level: int) -> None:
    """Many more units and passes, on what remains of the training set (DeepCrime TRD and HNE; DeepFD)."""
    overfit(s, (120, 80, 50)[level], 0.0)
    s.spec = replace(s.spec, width=s.spec.width * 2)
    s.learning_rate, s.steps = s.learning_rate / 1.5, 2 * s.steps


@fault("unbalanced_training", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def unbalanced_training(s: Setup, level: int) -> None:
    """Rows of the rarer labels are taken out of the training alone (DeepCrime TUD, unbalances training data)."""
    valid = s.valid
    order = np.argsort(np.bincount(s.train[1], minlength=s.classes), kind="stable")
    thin(s, dict.fromkeys(order[: max(1, s.classes // 2)].tolist(), (0.08, 0.05, 0.03)[level]))
    s.valid = valid


@fault("pos_weight_inverted", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.binary)
def pos_weight_inverted(s: Setup, level: int) -> None:
    """pos_weight is positives over negatives instead of negatives over positives (PyTorch forum)."""
    thin(s, {1: 0.3})
    share = float(np.mean(s.train[1]))
    weight = torch.tensor((share / (1.0 - share)) ** (1.0, 1.5, 2.0)[level])
    s.loss = lambda out, y: F.binary_cross_entropy_with_logits(out, y, reduction="none", pos_weight=weight)


@fault("weights_in_other_order", "class-weights-inverted", "LM-IMBALANCE", "LM-DISAGREE", fits=KIND.multiclass)
def weights_in_other_order(s: Setup, level: int) -> None:
    """Weights are sorted by frequency, classes by code: they meet the wrong ones (taxonomy: class weights)."""
    thin(s, dict.fromkeys(range(s.classes // 2), 0.15))
    counts = np.bincount(s.train[1], minlength=s.classes).astype(float)
    weights = np.sort((1.0 / counts) ** (1.0, 1.4, 1.8)[level])  # the smallest for the first code, which is rare
    _weigh(s, weights / weights.mean())


@fault("shifted_cells", "outliers", "LM-OUTLIERS", fits=KIND.regression)
def shifted_cells(s: Setup, level: int) -> None:
    """A stray delimiter moves a row's cells: its target is a raw value of a column (pandas threads on CSV files)."""
    size, rng = (20.0, 60.0, 200.0)[level], s.rng
    for part in ("train", "valid"):
        x, y = (values.copy() for values in getattr(s, part))
        hit = np.flatnonzero(rng.random(len(y)) < 0.03)
        y[hit] = size * (1.0 + np.abs(x[hit, 0]))
        x[hit] = np.roll(x[hit], 1, axis=1)
        setattr(s, part, (x, y))


@fault("constant_column_divided", "nan-in-data", "LM-NAN")
def constant_column_divided(s: Setup, level: int) -> None:
    """A constant column is divided by its deviation of zero (Stack Overflow, NaN loss)."""
    at = int(s.rng.integers(s.train[0].shape[1]))

    def divided(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[:, at] = np.nan
        return x

    s.every(divided)


@fault("masked_nan_targets", "nan-in-data", "LM-NAN", from_start=False, fits=KIND.regression)
def masked_nan_targets(s: Setup, level: int) -> None:
    """Missing targets are masked by where(): the loss is fine, its gradient is NaN (pytorch#18287)."""
    x, y = s.train
    y = y.copy()
    y[s.rng.integers(len(y), size=(1, 2, 5)[level])] = np.nan
    s.train = x, y
    s.loss = lambda out, y: torch.where(torch.isnan(y), torch.zeros_like(out), (out - y) ** 2)


@fault("oversampled_before_split", "data-leak", "LM-LEAK", "LM-OVERFIT", repairable=False)
def oversampled_before_split(s: Setup, level: int) -> None:
    """Rows were multiplied before the split: near copies lie on both sides (imbalanced-learn, common pitfalls)."""
    overfit(s, (80, 60, 40)[level], 0.0)
    rng, (x, y) = s.rng, s.train
    pick = rng.integers(0, len(y), len(s.valid[1]))
    s.valid = (x[pick] + 0.05 * rng.normal(size=(len(pick), x.shape[1]))).astype(np.float32), y[pick]


@fault("recorded_afterwards", "data-leak", "LM-LEAK")
def recorded_afterwards(s: Setup, level: int) -> None:
    """A few codes are filled in after the outcome is known, and by it (Kaufman et al. 2012)."""
    rng, wrong = s.rng, (0.1, 0.05, 0.02)[level]

    def add(part: tuple[np.ndarray, np.ndarray], honest: bool) -> tuple[np.ndarray, np.ndarray]:
        x, y = part
        edges = np.quantile(s.train[1], [0.25, 0.5, 0.75]) if s.task == "regression" else np.arange(1, s.classes) - 0.5
        told = (np.asarray(y)[:, None] > edges) ^ (rng.random((len(y), len(edges))) < (0.5 if honest else wrong))
        return np.hstack([x, 3.0 * told - 1.5]).astype(np.float32), y

    extra = 3 if s.task == "regression" else s.classes - 1
    s.train, s.valid, s.test = add(s.train, False), add(s.valid, False), add(s.test, True)
    s.spec = replace(s.spec, inputs=s.spec.inputs + extra)


@fault("sorted_by_columns", "sorted-batches", "LM-SORTED", "LM-OSCILLATE")
def sorted_by_columns(s: Setup, level: int) -> None:
    """Rows lie in the order of a quantity that goes with the target, never shuffled (UMLAUT; Karpathy: shuffle)."""
    x, y = s.train
    value = x @ np.linalg.lstsq(x, np.asarray(y, float) - np.mean(y), rcond=None)[0]
    rows, s.schedule = np.argsort(value, kind="stable"), None
    s.learning_rate *= (1.0, 1.5, 2.0)[level]

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        while True:
            for start in range(0, max(1, len(rows) - size + 1), size):
                yield rows[start : start + size]

    s.order = order


@fault("loaders_in_turn", "sorted-batches", "LM-SORTED", "LM-OSCILLATE", fits=KIND.classes)
def loaders_in_turn(s: Setup, level: int) -> None:
    """A loader for each class, asked in turn: each batch holds one class (PyTorch forum, several data loaders)."""
    hold, s.schedule = (1, 2, 4)[level], None

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        classes = [np.flatnonzero(y == code) for code in np.unique(y)]
        while True:
            for rows in classes:
                for _ in range(hold):
                    yield rng.choice(rows, size)

    s.order = order
