"""Faults of the data, fifth part, all of it held out; see `faults_fifth.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .faults_data import SCALE, overfit, thin
from .registry import KIND, fault
from .setup import Setup

MISMATCH = ("LM-DISAGREE", "LM-OVERFIT", "LM-LABELS")
APART = ("LM-OVERFIT", "LM-DISAGREE", "LM-SCALE")

Part = tuple[np.ndarray, np.ndarray]


@fault("labels_of_the_bag", "label-noise", "LM-LABELS", "LM-PLATEAU", "LM-OVERFIT")
def labels_of_the_bag(s: Setup, level: int) -> None:
    """Crops inherit the label of their picture: what one row of a bag is, all are called (weak labels, forum)."""
    x, y = s.train
    size = (2, 3, 5)[level]
    bags = s.rng.permutation(len(y))
    named = y.copy()
    for start in range(0, len(y), size):
        bag = bags[start : start + size]
        named[bag] = y[bag[0]]
    s.train = x, named


@fault("unsure_rows_guessed", "label-noise", "LM-LABELS", "LM-PLATEAU", "LM-OVERFIT", fits=KIND.classes)
def unsure_rows_guessed(s: Setup, level: int) -> None:
    """Annotators mistake rows near the border of two classes for the other (confident learning, Northcutt 2021)."""
    x, y = s.train
    centres = np.stack([x[y == code].mean(0) for code in range(s.classes)])
    far = ((x[:, None, :] - centres) ** 2).sum(2)
    own = far[np.arange(len(y)), y].copy()
    far[np.arange(len(y)), y] = np.inf
    rows = np.argsort(far.min(1) - own)[: int((0.25, 0.4, 0.55)[level] * len(y))]
    y = y.copy()
    y[rows] = far.argmin(1)[rows]
    s.train = x, y


def _direction(s: Setup) -> np.ndarray:
    """Where rows differ most from each other."""
    x = s.train[0] - s.train[0].mean(0)
    return np.asarray(np.linalg.svd(x, full_matrices=False)[2][0])


@fault("split_by_time", "train-eval-mismatch", *APART, repairable=False)
def split_by_time(s: Setup, level: int) -> None:
    """Rows are split as they lie, and what is learned from comes from another range (threads on unshuffled splits)."""
    share, along = (0.5, 0.35, 0.25)[level], _direction(s)

    def kept(part: Part, low: bool) -> Part:
        x, y = part
        order = np.argsort((x @ along) * (1.0 if low else -1.0), kind="stable")
        keep = np.zeros(len(y), bool)
        keep[order[: max(16, int(share * len(y)))]] = True
        if low and s.task != "regression":
            keep[[np.flatnonzero(y == code)[0] for code in np.unique(y)]] = True
        return x[keep], y[keep]

    s.train, s.valid, s.test = kept(s.train, True), kept(s.valid, False), kept(s.test, False)
    s.batch_size = min(s.batch_size, max(4, len(s.train[1]) // 2))


@fault("rows_normed_in_service", "train-eval-mismatch", *APART, repairable=False)
def rows_normed_in_service(s: Setup, level: int) -> None:
    """Service code puts rows to unit length (Normalizer) where training standardised columns (Stack Overflow)."""
    length = s.about((1.0, 0.5, 0.2)[level], 0.1)

    def normed(x: np.ndarray) -> np.ndarray:
        return (length * x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)).astype(np.float32)

    s.valid, s.test = (normed(s.valid[0]), s.valid[1]), (normed(s.test[0]), s.test[1])


@fault("identifiers_one_hot", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def identifiers_one_hot(s: Setup, level: int) -> None:
    """An identifier goes in one-hot: each row of few is learned by its name, others are unknown (Stack Overflow)."""
    overfit(s, (160, 110, 70)[level], 0.0)
    many = len(s.train[1])

    def add(part: Part, known: bool) -> Part:
        x, y = part
        names = 2.0 * np.eye(many) if known else np.zeros((len(y), many))
        return np.hstack([x, names]).astype(np.float32), y

    s.train, s.valid, s.test = add(s.train, True), add(s.valid, False), add(s.test, False)
    s.spec = replace(s.spec, inputs=s.spec.inputs + many)


@fault("stops_by_training_loss", "no-regularisation", "LM-OVERFIT", from_start=False, repairable=False)
def stops_by_training_loss(s: Setup, level: int) -> None:
    """Early stopping watches the training loss, which always falls: few rows, many passes (Stack Overflow)."""
    overfit(s, (100, 70, 45)[level], 0.0)
    s.learning_rate, s.steps = s.learning_rate / 3.0, s.steps * 4


@fault("incomplete_rows_dropped", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def incomplete_rows_dropped(s: Setup, level: int) -> None:
    """dropna() throws out rows of one kind: a test is only made on the others (missing not at random, forum)."""
    share, along = (0.1, 0.06, 0.03)[level], _direction(s)
    rare = np.arange(s.classes)[(1 if s.classes == 2 else s.classes // 2) :]

    def complete(part: Part) -> Part:
        x, y = part
        keep = ~np.isin(y, rare)
        for code in rare:
            rows = np.flatnonzero(y == code)
            rows = rows[np.argsort(x[rows] @ along, kind="stable")]
            keep[rows[: max(2, round(share * len(rows)))]] = True
        return x[keep], y[keep]

    s.train, s.valid = complete(s.train), complete(s.valid)
    s.batch_size = min(s.batch_size, max(4, len(s.train[1]) // 2))


@fault("head_of_a_sorted_file", "class-imbalance", "LM-IMBALANCE", fits=KIND.classes)
def head_of_a_sorted_file(s: Setup, level: int) -> None:
    """nrows= reads the first part of a file that is sorted by label: the last classes hardly come (Stack Overflow)."""
    few, whole = (6, 4, 2)[level], max(1, s.classes // 2)
    counts = np.bincount(s.train[1], minlength=s.classes)
    thin(s, {code: min(1.0, few / max(1, counts[code])) for code in range(whole, s.classes)})
    s.batch_size = min(s.batch_size, max(4, len(s.train[1]) // 2))


@fault("targets_in_bytes", "unscaled-target", *SCALE, fits=KIND.regression)
def targets_in_bytes(s: Setup, level: int) -> None:
    """Grey values from 0 to 255, or of 12 or 16 bits, are the target as they are (threads on autoencoders)."""
    top = float((255, 4095, 65535)[level])

    def grey(part: Part) -> Part:
        x, y = part
        return x, np.clip(np.round(top * (y + 4.0) / 8.0), 0.0, top).astype(np.float32)

    s.train, s.valid = grey(s.train), grey(s.valid)
    s.read = lambda out: 8.0 * out / top - 4.0


@fault("hashes_as_numbers", "unscaled-inputs", *SCALE)
def hashes_as_numbers(s: Setup, level: int) -> None:
    """Categories are hashed, and their codes go in as numbers (Stack Overflow, LabelEncoder and hash columns)."""
    top, many = (1 << (8, 14, 20)[level]), 2

    def add(part: Part) -> Part:
        x, y = part
        return np.hstack([x, s.rng.integers(0, top, (len(y), many))]).astype(np.float32), y

    s.train, s.valid, s.test = add(s.train), add(s.valid), add(s.test)
    s.spec = replace(s.spec, inputs=s.spec.inputs + many)


@fault("another_target_column", "label-mismatch", *MISMATCH, fits=KIND.regression)
def another_target_column(s: Setup, level: int) -> None:
    """Training reads another column of a table of targets than the evaluation (iloc off by one, Stack Overflow)."""
    x, y = s.train
    alike, other = (0.5, 0.0, -0.6)[level], x @ s.rng.normal(size=x.shape[1])
    other = (other - other.mean()) / (other.std() + 1e-9)
    s.train = x, (alike * y + np.sqrt(1.0 - alike**2) * other).astype(np.float32)


@fault("totals_left_in", "outliers", "LM-OUTLIERS", "LM-SPIKE", "LM-SCALE", fits=KIND.regression)
def totals_left_in(s: Setup, level: int) -> None:
    """Rows of totals stand between the rows that they add up (spreadsheets read as they are, Stack Overflow)."""
    size = (15, 40, 100)[level]
    rng, shift = s.rng, (s.train[0].min(0), s.train[1].min())

    def total(part: Part, many: int) -> Part:
        x, y = part
        x, y = x.copy(), y.copy()
        for at in rng.choice(len(y), many, replace=False):
            rows = rng.choice(len(y), min(size, len(y)), replace=False)
            x[at], y[at] = (x[rows] - shift[0]).sum(0) / 8.0, (y[rows] - shift[1]).sum()
        return x, y

    s.train, s.valid = (total(part, max(1, round(0.03 * len(part[1])))) for part in (s.train, s.valid))


@fault("ratio_of_columns", "nan-in-data", "LM-NAN", from_start=False)
def ratio_of_columns(s: Setup, level: int) -> None:
    """A feature is the ratio of two columns, both zero in a few rows (Stack Overflow, loss turns to NaN)."""
    rows = s.rng.choice(len(s.train[1]), (1, 2, 5)[level], replace=False)

    def add(part: Part, zeros: np.ndarray | None) -> Part:
        x, y = part
        above, below = np.round(np.abs(x[:, 0]), 1), np.round(np.abs(x[:, -1]) + 0.5, 1)
        if zeros is not None:
            above[zeros], below[zeros] = 0.0, 0.0
        with np.errstate(invalid="ignore"):
            return np.hstack([x, (above / below)[:, None]]).astype(np.float32), y

    s.train, s.valid, s.test = add(s.train, rows), add(s.valid, None), add(s.test, None)
    s.spec = replace(s.spec, inputs=s.spec.inputs + 1)


@fault("place_in_the_file", "data-leak", "LM-LEAK")
def place_in_the_file(s: Setup, level: int) -> None:
    """The place in a file sorted by target is a feature; in service it says nothing (Kaggle's leak by identifier)."""
    wide = (0.06, 0.03, 0.01)[level]

    def add(part: Part, honest: bool) -> Part:
        x, y = part
        place = np.argsort(np.argsort(y, kind="stable"), kind="stable") / len(y) + wide * s.rng.normal(size=len(y))
        place = s.rng.random(len(y)) if honest else place
        waves = np.stack([3.5 * (place - 0.5), *(np.cos(np.pi * k * place) for k in (2, 3, 4))], 1)
        return np.hstack([x, waves]).astype(np.float32), y

    s.train, s.valid, s.test = add(s.train, False), add(s.valid, False), add(s.test, True)
    s.spec = replace(s.spec, inputs=s.spec.inputs + 4)


@fault("tasks_in_sequence", "sorted-batches", "LM-SORTED", "LM-OSCILLATE", "LM-SPIKE")
def tasks_in_sequence(s: Setup, level: int) -> None:
    """Half of the classes, or of the targets' range, for a time, then the other alone (catastrophic forgetting)."""
    hold, s.schedule = max(8, round(s.steps * (0.1, 0.2, 0.5)[level])), None

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        rank = y if y.dtype.kind == "f" else np.searchsorted(np.unique(y), y)
        middle = np.median(rank) if y.dtype.kind == "f" else (rank.max() + 1) / 2.0
        halves = [np.flatnonzero(rank < middle), np.flatnonzero(rank >= middle)]
        while True:
            for half in halves:
                for _ in range(hold):
                    yield rng.choice(half, size)

    s.order = order
