"""Fit the judges that `lossmith.diagnose.causes` reads, on the development part alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from lossmith.diagnose.features import curve_numbers, log_numbers

from . import grid

QUANTILES = (0.03, 0.15, 0.5, 0.85, 0.97)
STRENGTHS = (1.0,)
TIERS = ("curve", "log", "probes", "live")
Row = Mapping[str, Any]


@dataclass
class Table:
    """Accepted runs and their numbers."""

    rows: list[Row]
    curve: list[dict[str, float]]
    log: list[dict[str, float]]
    live: list[dict[str, float]]

    def of(self, tier: str) -> list[dict[str, float]]:
        if tier == "probes":
            return [{k: v for k, v in row.items() if k.startswith("probe.")} for row in self.live]
        return {"curve": self.curve, "log": self.log, "live": self.live}[tier]

    def part(self, keep: Callable[[Row], bool]) -> Table:
        at = [i for i, row in enumerate(self.rows) if keep(row)]
        return Table(*([column[i] for i in at] for column in (self.rows, self.curve, self.log, self.live)))


def load(folder: Path) -> Table:
    """Read all accepted runs that have probes."""
    probed = {r["name"]: r["numbers"] for r in map(json.loads, (folder / "probes.jsonl").read_text().splitlines())}
    table = Table([], [], [], [])
    for row in grid.manifest(folder):
        if not row["accepted"] or row["name"] not in probed:
            continue
        record = grid.read_record(folder, row["name"])
        log = log_numbers(record)
        table.rows.append(row)
        table.curve.append(curve_numbers(record))
        table.log.append(log)
        table.live.append(log | {f"probe.{k}": v for k, v in probed[row["name"]].items()})
    return table


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


def weights_of(labels: np.ndarray) -> np.ndarray:
    """Causes alike, but for "healthy", which counts as four: what is most often true must not be accused lightly."""
    names, counts = np.unique(labels, return_counts=True)
    share = {n: (4.0 if n == "healthy" else 1.0) / c for n, c in zip(names, counts, strict=True)}
    weights = np.array([share[label] for label in labels])
    return weights * len(labels) / weights.sum()


def logistic(x: np.ndarray, labels: np.ndarray, strength: float) -> LogisticRegression:
    model = LogisticRegression(C=strength, max_iter=60, tol=1e-3)
    return model.fit(x, labels, sample_weight=weights_of(labels))


def choose(table: Table, tier: str, say: Any) -> tuple[float, float]:
    """Strength and temperature by leaving out data sets in turn, a third of them at a time."""
    numbers, labels = table.of(tier), np.array([row["cause"] for row in table.rows])
    names = sorted({row["dataset"] for row in table.rows})
    groups = [np.array([row["dataset"] in names[k::3] for row in table.rows]) for k in range(3)]
    scores: dict[float, tuple[float, float]] = {}
    for strength in STRENGTHS:
        logits, truth, known = [], [], sorted(set(labels))
        for out in groups:
            encoder = Encoder([n for n, o in zip(numbers, out, strict=True) if not o], labels[~out] == "healthy")
            model = logistic(encoder(numbers)[~out], labels[~out], strength)
            table_of = np.full((int(out.sum()), len(known)), -50.0)
            table_of[:, [known.index(c) for c in model.classes_]] = model.decision_function(encoder(numbers)[out])
            logits.append(table_of)
            truth.append(np.searchsorted(known, labels[out]))
        z, t = np.vstack(logits), np.concatenate(truth)
        losses = {h: _log_loss(z / h, t) for h in np.geomspace(0.3, 4.0, 15)}
        best = min(losses, key=losses.__getitem__)
        scores[strength] = losses[best], float(best)
        top = np.mean(z.argmax(1) == t)
        say(
            f"{tier} C={strength} left-out log loss {losses[best]:.3f} at temperature {best:.2f}, top-1 {top:.3f}",
            flush=True,
        )
    chosen = min(scores, key=lambda s: scores[s][0])
    return chosen, scores[chosen][1]


def _log_loss(z: np.ndarray, truth: np.ndarray) -> float:
    z = z - z.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return float(-np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-4)).mean())


def fit(table: Table, say: Any = print, strength: float | None = None) -> dict[str, Any]:
    """Fit one judge for each tier."""
    table = table.part(development)
    labels = np.array([row["cause"] for row in table.rows])
    tiers = {}
    for tier in TIERS:
        chosen, temperature = choose(table, tier, say) if strength is None else (strength, 0.9)
        encoder = Encoder(table.of(tier), labels == "healthy")
        model = logistic(encoder(table.of(tier)), labels, chosen)
        tiers[tier] = _written(encoder, model, temperature)
    return {"fitted_to": f"{len(labels)} development runs of benchmarks/diagnosis", "tiers": tiers}


def _written(encoder: Encoder, model: LogisticRegression, temperature: float) -> dict[str, Any]:
    table, start, numbers = model.coef_.T / temperature, 0, {}
    for name, knots in encoder.knots.items():
        part = table[start : start + len(knots) - 1]
        start += len(knots) - 1
        kept = [
            [r, c, round(float(part[r, c]), 2)]
            for r in range(len(part))
            for c in range(part.shape[1])
            if abs(part[r, c]) >= 0.06
        ]
        if kept:
            numbers[name] = {
                "knots": [round(float(k), 3) for k in knots],
                "middle": [float(m) for m in encoder.middle[name]],
                "healthy": [float(h) for h in encoder.healthy[name]],
                "weights": kept,
            }
    bias = [round(float(b), 3) for b in model.intercept_ / temperature]
    return {"causes": [str(c) for c in model.classes_], "bias": bias, "numbers": numbers}


def write(judges: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(judges, separators=(",", ":")) + "\n", encoding="utf-8")
