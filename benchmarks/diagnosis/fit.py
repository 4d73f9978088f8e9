"""Fit the judges that `lossmith.diagnose.causes` reads, on the development part alone.

python -m benchmarks.diagnosis.fit FOLDER [FOLDER ...]     # fit on all of them, and write what the package ships
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize

from lossmith.diagnose import causes
from lossmith.diagnose.features import curve_numbers, log_numbers
from lossmith.diagnose.marks import marks, paired_numbers
from lossmith.diagnose.record import Record

from . import grid

QUANTILES = (0.03, 0.15, 0.5, 0.85, 0.97)
STRENGTH = {"curve": 0.3, "log": 0.3, "probes": 1.0, "live": 1.0}
"""Variance of the weights' prior."""
MARKED, UNSEEN = 4.0, 0.5
"""Mean of the prior of a mark's weight for its own cause; share of a faulty run's weight that goes to a copy of it on
which the own mark is not seen. A fault of a new kind may do without the mark of its cause, so its absence must not tell
against the cause: with log odds of -3 for it, top-3 on faults made blind was .65, with none .87."""
STRANGE = 1.3
"""By which temperatures rise further: marks were written by who knew the faults left out. On faults of a stranger,
judged once before they became development, this was best."""
SMALL = 0.03
"""Weights below this are not written."""
TIERS = ("curve", "log", "probes", "live")
Row = Mapping[str, Any]
Numbers = Mapping[str, float]


@dataclass
class Table:
    """Accepted runs and their numbers."""

    rows: list[Row]
    curve: list[dict[str, float]]
    log: list[dict[str, float]]
    live: list[dict[str, float]]

    def of(self, tier: str) -> list[dict[str, float]]:
        if tier == "probes":
            return [_probes_alone(row) for row in self.live]
        return {"curve": self.curve, "log": self.log, "live": self.live}[tier]

    def part(self, keep: Callable[[Row], bool]) -> Table:
        at = [i for i, row in enumerate(self.rows) if keep(row)]
        return Table(*([column[i] for i in at] for column in (self.rows, self.curve, self.log, self.live)))


def with_probes(log: Mapping[str, float], probes: Mapping[str, float]) -> dict[str, float]:
    """All numbers that the live judge gets."""
    found = {**log, **{f"probe.{name}": value for name, value in probes.items()}}
    found |= paired_numbers(found)
    return found | marks(found)


def _probes_alone(row: Mapping[str, float]) -> dict[str, float]:
    found = {k: v for k, v in row.items() if k.startswith("probe.")}
    found |= paired_numbers(found)
    return found | marks(found)


def load(*folders: Path) -> Table:
    """Read all accepted runs that have probes."""
    whole = Table([], [], [], [])
    for folder in folders:
        _load(folder, whole)
    return whole


def _load(folder: Path, table: Table) -> None:
    probed = {r["name"]: r["numbers"] for r in map(json.loads, (folder / "probes.jsonl").read_text().splitlines())}
    for row in grid.manifest(folder):
        if not row["accepted"] or row["name"] not in probed:
            continue
        record = grid.read_record(folder, row["name"])
        for seen in (record, *_stopped(record)):
            log = log_numbers(seen)
            table.rows.append(row)
            table.curve.append(curve_numbers(seen))
            table.log.append(log)
            table.live.append(with_probes(log, probed[row["name"]]))


def _stopped(record: Record) -> list[Record]:
    """The run as a monitor ends it, at the first number that is not finite; none where it ended so."""
    odd = (k for k, s in enumerate(record.steps) if not math.isfinite((s.loss or 0.0) + (s.grad_norm or 0.0)))
    first = next(odd, len(record.steps))
    return [Record.of(record.facts, record.steps[: first + 1])] if first + 2 < len(record.steps) else []


def development(row: Row) -> bool:
    return not row["held_out"]


class Encoder:
    """Ramps between quantiles of the runs it is shown."""

    def __init__(self, numbers: Sequence[Mapping[str, float]], healthy: np.ndarray) -> None:
        self.knots: dict[str, np.ndarray] = {}
        self.middle: dict[str, np.ndarray] = {}
        self.healthy: dict[str, tuple[float, float]] = {}
        for name in sorted({name for row in numbers for name in row}):
            values = np.array([row.get(name, np.nan) for row in numbers])
            seen = np.isfinite(values)
            if seen.mean() < 0.02:
                continue
            knots = np.unique(np.round(np.quantile(values[seen], (0.0, *QUANTILES, 1.0)), 3))
            knots = knots[np.concatenate([[True], np.diff(knots) > 2e-3])]
            if len(knots) < 2:
                continue
            self.knots[name] = knots
            ramps = self._ramps(values[seen], knots)
            self.middle[name] = np.round(ramps.mean(0), 4)
            good = values[seen & healthy]
            self.healthy[name] = tuple(np.round(np.quantile(good, [0.05, 0.95]), 3)) if good.size else (0.0, 0.0)

    @staticmethod
    def _ramps(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
        return np.clip((values[:, None] - knots[:-1]) / np.diff(knots), 0.0, 1.0)

    def __call__(self, numbers: Sequence[Mapping[str, float]]) -> np.ndarray:
        columns = []
        for name, knots in self.knots.items():
            values = np.array([row.get(name, np.nan) for row in numbers])
            ramps = self._ramps(np.where(np.isfinite(values), values, 0.0), knots) - self.middle[name]
            columns.append(np.where(np.isfinite(values)[:, None], ramps, 0.0))
        return np.hstack(columns)

    def marks(self) -> dict[str, int]:
        """Column of each cause's mark."""
        starts = np.cumsum([0, *(len(knots) - 1 for knots in self.knots.values())])
        names = zip(self.knots, starts, strict=False)
        return {name.removeprefix("mark."): int(at) for name, at in names if name.startswith("mark.")}


def weights_of(rows: Sequence[Row]) -> np.ndarray:
    """Faults of a cause alike, and causes, but for "healthy", which counts as four: not to be accused lightly."""
    names = [(row["cause"], row["fault"] if row["cause"] != "healthy" else "") for row in rows]
    runs = Counter(names)
    faults = Counter(cause for cause, _ in runs)
    weights = np.array([(4.0 if name[0] == "healthy" else 1.0) / faults[name[0]] / runs[name] for name in names])
    return weights * len(rows) / weights.sum()


@dataclass
class Logistic:
    """Multinomial logistic regression."""

    classes: list[str]
    weights: np.ndarray
    bias: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ self.weights + self.bias)


def model_of(encoder: Encoder, numbers: Sequence[Numbers], rows: Sequence[Row], strength: float) -> Logistic:
    """Fit to runs as they are, and to faulty ones as they would be if nobody had thought of their mark."""
    x, labels, weight = encoder(numbers), np.array([row["cause"] for row in rows]), weights_of(rows)
    classes, marked = sorted(set(labels)), encoder.marks()
    prior, unseen = np.zeros((x.shape[1], len(classes))), x.copy()
    for cause, at in marked.items():
        if cause in classes:
            prior[at, classes.index(cause)] = MARKED
            unseen[labels == cause, at] = -encoder.middle[f"mark.{cause}"][0]
    sick = (labels != "healthy") & bool(marked)
    x, labels = np.vstack([x, unseen[sick]]), np.concatenate([labels, labels[sick]])
    weight = np.concatenate([np.where(sick, 1.0 - UNSEEN, 1.0) * weight, UNSEEN * weight[sick]])
    return logistic(x, labels, weight, strength, prior)


def logistic(x: np.ndarray, labels: np.ndarray, weight: np.ndarray, strength: float, prior: np.ndarray) -> Logistic:
    """Fit with a normal prior of the weights around ``prior``."""
    classes = sorted(set(labels))
    hot = np.eye(len(classes))[np.searchsorted(classes, labels)]
    padded = np.hstack([x, np.ones((len(x), 1))])
    start = np.vstack([prior, np.zeros(len(classes))])

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = flat.reshape(start.shape)
        z = padded @ table
        z -= z.max(1, keepdims=True)
        e = np.exp(z)
        p = e / e.sum(1, keepdims=True)
        slope = padded.T @ (weight[:, None] * (p - hot))
        away = table[:-1] - prior
        slope[:-1] += away / strength
        fit = -float(weight @ np.log(np.maximum((p * hot).sum(1), 1e-300)))
        return fit + float((away**2).sum()) / (2.0 * strength), slope.ravel()

    found = scipy.optimize.minimize(cost, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 80})
    table = found.x.reshape(start.shape)
    return Logistic([str(c) for c in classes], table[:-1], table[-1])


def _picked(numbers: Sequence[Numbers], rows: Sequence[Row], keep: np.ndarray) -> Iterator[tuple[Numbers, Row]]:
    return ((n, row) for n, row, kept in zip(numbers, rows, keep, strict=True) if kept)


def folds_of(rows: Sequence[Row], parts: int = 4) -> np.ndarray:
    """Faults of a cause are left out in turn; runs of a cause with one fault, and healthy ones, by data set."""
    faults: dict[str, list[str]] = {}
    for row in rows:
        known = faults.setdefault(row["cause"], [])
        if row["fault"] not in known:
            known.append(row["fault"])
    return np.array(
        [
            sorted(faults[row["cause"]]).index(row["fault"]) % parts
            if row["cause"] != "healthy" and len(faults[row["cause"]]) > 1
            else zlib.crc32(f"{row['dataset']}/{row['cause']}".encode()) % parts
            for row in rows
        ]
    )


def sets_of(rows: Sequence[Row], parts: int = 6) -> np.ndarray:
    """Data sets are left out in turn."""
    known = sorted({row["dataset"] for row in rows})
    return np.array([known.index(row["dataset"]) % parts for row in rows])


def out_of_fold(table: Table, tier: str, strength: float, fold: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Log odds of each run, from a judge that was fitted without its fold."""
    numbers, labels = table.of(tier), np.array([row["cause"] for row in table.rows])
    known = sorted(set(labels))
    z = np.full((len(labels), len(known)), -50.0)
    for out in (fold == k for k in np.unique(fold)):
        encoder = Encoder([n for n, o in zip(numbers, out, strict=True) if not o], labels[~out] == "healthy")
        inside, outside = (
            [list(column) for column in zip(*_picked(numbers, table.rows, keep), strict=True)] for keep in (~out, out)
        )
        model = model_of(encoder, *inside, strength)
        z[np.ix_(out, [known.index(c) for c in model.classes])] = model.logits(encoder(outside[0]))
    return known, z


def temperature(table: Table, tier: str, say: Any) -> float:
    """By leaving out faults in turn: what is to be judged are faults never seen."""
    known, z = out_of_fold(table, tier, STRENGTH[tier], folds_of(table.rows))
    truth = np.searchsorted(known, [row["cause"] for row in table.rows])
    best = STRANGE * float(min(np.geomspace(0.7, 3.0, 12), key=lambda h: _log_loss(z / h, truth)))
    say(f"{tier}: temperature {best:.2f}, faults left out, {_figures(z / best, truth, known)}", flush=True)
    return best


def honest(table: Table, tier: str, say: Any = print) -> None:
    """Say how a judge does on data sets that it was not fitted to; `temperature` says the same of faults."""
    table = table.part(development)
    known, z = out_of_fold(table, tier, STRENGTH[tier], sets_of(table.rows))
    truth = np.searchsorted(known, [row["cause"] for row in table.rows])
    say(f"{tier}: data sets left out, {_figures(z, truth, known)}", flush=True)


def _figures(z: np.ndarray, truth: np.ndarray, known: Sequence[str]) -> str:
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    healthy = known.index("healthy")
    place = (np.argsort(-z, 1) == truth[:, None]).argmax(1)
    sick, sure, bins = truth != healthy, p.max(1), np.minimum((10.0 * p.max(1)).astype(int), 9)
    off = sum(abs(float((sure[bins == b] - (place[bins == b] == 0)).sum())) for b in range(10)) / len(z)
    accused = np.delete(p[~sick], healthy, 1).max(1)
    return (
        f"log loss {_log_loss(z, truth):.3f}, top-1 {np.mean(place[sick] < 1):.3f}, "
        f"top-3 {np.mean(place[sick] < 3):.3f}, calibration error {off:.3f}; sound runs accused "
        f"{np.mean(place[~sick] > 0):.3f}, of them at .9 {np.mean(accused >= 0.9):.3f}"
    )


def _log_loss(z: np.ndarray, truth: np.ndarray) -> float:
    z = z - z.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return float(-np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-4)).mean())


def fit(table: Table, say: Any = print, heat: float | None = None) -> dict[str, Any]:
    """Fit one judge for each tier; ``heat`` is a temperature that need not be sought."""
    table = table.part(development)
    labels = np.array([row["cause"] for row in table.rows])
    tiers = {}
    for tier in TIERS:
        used = temperature(table, tier, say) if heat is None else heat
        numbers = table.of(tier)
        encoder = Encoder(numbers, labels == "healthy")
        tiers[tier] = _written(encoder, model_of(encoder, numbers, table.rows, STRENGTH[tier]), used)
    return {"fitted_to": f"{len(labels)} development runs of benchmarks/diagnosis", "tiers": tiers}


def _written(encoder: Encoder, model: Logistic, heat: float) -> dict[str, Any]:
    table, start, numbers = model.weights / heat, 0, {}
    for name, knots in encoder.knots.items():
        part = table[start : start + len(knots) - 1]
        start += len(knots) - 1
        kept = [
            [r, c, round(float(part[r, c]), 2)]
            for r in range(len(part))
            for c in range(part.shape[1])
            if abs(part[r, c]) >= SMALL
        ]
        if kept:
            numbers[name] = {
                "knots": [round(float(k), 3) for k in knots],
                "middle": [float(m) for m in encoder.middle[name]],
                "healthy": [float(h) for h in encoder.healthy[name]],
                "weights": kept,
            }
    bias = [round(float(b), 3) for b in model.bias / heat]
    return {"causes": model.classes, "bias": bias, "numbers": numbers}


def write(judges: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(judges, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    shipped = Path(causes.__file__).with_name("judges.json")
    write(fit(load(*map(Path, sys.argv[1:]))), shipped)


if __name__ == "__main__":
    main()
