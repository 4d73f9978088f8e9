"""Real data sets that need no network: five of scikit-learn, four of the examples, three of statsmodels, and what
`data_third.py` and `data_fourth.py` add."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import data_fourth, data_third, held

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "data"
TRAIN, VALID, TEST = 480, 240, 700  # rows at most
CALM = {
    "breast_cancer": 0.4,
    "wine": 0.3,
    "iris": 0.4,
    "diabetes": 0.5,
    "credit": 0.12,
    "votes": 0.3,
    "travel": 0.3,
    "schools": 0.4,
    "mail": 0.4,
    "jobs": 0.6,
    "juice": 0.6,
    "bodies": 0.4,
}
# Rates that do not overfit.
DECAY = {
    "breast_cancer": 10.0,
    "wine": 10.0,
    "iris": 10.0,
    "diabetes": 5.0,
    "credit": 10.0,
    "votes": 10.0,
    "travel": 10.0,
    "schools": 5.0,
    "mail": 5.0,
    "jobs": 5.0,
    "houses": 3.0,
    "juice": 10.0,
    "bodies": 5.0,
    "cars": 3.0,
    "ames": 3.0,
}
HELD_OUT = frozenset(held.DATA)
BALANCED = {"credit": 1, "phoneme": 1}  # rare class: as many of each, since the judge counts classes alike


@dataclass(frozen=True)
class Split:
    """Features standardised on the training rows; a numeric target likewise."""

    name: str
    task: str
    classes: int
    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def _sklearn(name: str) -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return bunch.data, bunch.target


def _table(name: str, target: str, read: Callable[[pd.Series], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_csv(EXAMPLES / f"{name}.csv")
    y = read(frame[target])
    x = pd.get_dummies(frame.drop(columns=target), drop_first=True, dtype=float)
    return x.to_numpy(float), y


def _votes() -> tuple[np.ndarray, np.ndarray]:
    """Whom a voter chose in 1996."""
    from statsmodels.datasets import anes96

    frame = anes96.load_pandas().data
    return frame.drop(columns=["vote", "popul"]).to_numpy(float), frame["vote"].to_numpy(int)


def _travel() -> tuple[np.ndarray, np.ndarray]:
    """Air, train, bus or car: a row a traveller, with cost and time of all four."""
    from statsmodels.datasets import modechoice

    frame = modechoice.load_pandas().data.sort_values(["individual", "mode"])
    each = frame[["ttme", "invc", "invt", "gc"]].to_numpy(float).reshape(-1, 16)
    own = frame[["hinc", "psize"]].to_numpy(float)[::4]
    return np.hstack([each, own]), frame["choice"].to_numpy(float).reshape(-1, 4).argmax(1)


def _schools() -> tuple[np.ndarray, np.ndarray]:
    """Share of pupils above the median in mathematics, by district."""
    from statsmodels.datasets import star98

    frame = star98.load_pandas().data
    above = frame["NABOVE"] / (frame["NABOVE"] + frame["NBELOW"])
    return frame.drop(columns=["NABOVE", "NBELOW"]).to_numpy(float), above.to_numpy(float)


SOURCES: dict[str, tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]]]] = {
    "breast_cancer": ("binary", lambda: _sklearn("breast_cancer")),
    "digits": ("multiclass", lambda: _sklearn("digits")),
    "wine": ("multiclass", lambda: _sklearn("wine")),
    "iris": ("multiclass", lambda: _sklearn("iris")),
    "diabetes": ("regression", lambda: _sklearn("diabetes")),
    "credit": ("binary", lambda: _table("credit", "creditability", lambda c: (c == "bad").to_numpy(int))),
    "abalone": ("regression", lambda: _table("abalone", "rings", lambda c: np.log(c.to_numpy(float) + 1.0))),
    "bikes": ("regression", lambda: _table("bikes", "bikers", lambda c: np.sqrt(c.to_numpy(float)))),
    "diamonds": ("regression", lambda: _table("diamonds", "price", lambda c: np.log(c.to_numpy(float)))),
    "votes": ("binary", _votes),
    "travel": ("multiclass", _travel),
    "schools": ("regression", _schools),
    **data_third.SOURCES,
    **data_fourth.SOURCES,
}


@functools.cache
def _raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = SOURCES[name][1]()
    if name in BALANCED:
        rare = np.flatnonzero(y == BALANCED[name])
        rows = np.sort(np.concatenate([rare, np.flatnonzero(y != BALANCED[name])[: len(rare)]]))
        return x[rows], y[rows]
    return x, y


@functools.cache
def load(name: str, seed: int) -> Split:
    """Split by the seed: rows to learn from, rows the training looks at, rows for the final word."""
    x, y = _raw(name)
    task = SOURCES[name][0]
    rows = np.random.default_rng(1000 + seed).permutation(len(y))
    n = len(y)
    cut = min(TRAIN, int(0.5 * n))
    stop = cut + min(VALID, int(0.22 * n))
    parts = rows[:cut], rows[cut:stop], rows[stop : stop + TEST]
    centre, spread = x[parts[0]].mean(0), x[parts[0]].std(0)
    x = np.clip((x - centre) / np.where(spread > 1e-9, spread, 1.0), -8.0, 8.0).astype(np.float32)
    if task == "regression":
        y = ((y - y[parts[0]].mean()) / y[parts[0]].std()).astype(np.float32)
    else:
        y = y.astype(np.int64)
    classes = 0 if task == "regression" else int(y.max()) + 1
    train, valid, test = ((x[p], y[p]) for p in parts)
    return Split(name, task, classes, train, valid, test)
