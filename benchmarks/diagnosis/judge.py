"""Hold what was recorded against what was done: symptoms, causes, false alarms, time, and the linters beside us."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lossmith.diagnose.causes import HEALTHY, causes, evidence, judges
from lossmith.diagnose.features import curve_numbers, log_numbers
from lossmith.diagnose.record import Record
from lossmith.diagnose.suspicion import with_suspected
from lossmith.diagnose.symptoms import symptoms, timeline

from . import fit, grid, kinds, linters
from .registry import FAULTS

Row = Mapping[str, Any]


@dataclass
class Verdict:
    """What all judges said of one run."""

    row: Row
    ranks: dict[str, int] = field(default_factory=dict)  # of the true cause, from 0, by tier
    chances: dict[str, float] = field(default_factory=dict)  # of the first cause
    first: dict[str, str] = field(default_factory=dict)
    log: set[str] = field(default_factory=set)  # symptoms, warnings or worse, from the log
    live: set[str] = field(default_factory=set)  # the same with the probes' numbers
    ruled: dict[str, set[str]] = field(default_factory=dict)  # by rules alone: "log", "live"
    seen: dict[str, set[str]] = field(default_factory=dict)  # by linter, in our ids
    alarms: dict[str, bool] = field(default_factory=dict)  # by linter: anything of weight
    when: float = math.nan  # share of the run until the first right symptom
    told: dict[str, set[str]] = field(default_factory=dict)  # symptoms from the log, by kind of log
    placed: dict[str, int] = field(default_factory=dict)  # rank of the true cause from the log, by kind of log

    @property
    def right(self) -> set[str]:
        return set(FAULTS[self.row["fault"]].symptoms) if self.row["fault"] in FAULTS else set()

    @property
    def stated(self) -> set[str]:
        return set(FAULTS[self.row["fault"]].stated) if self.row["fault"] in FAULTS else set()


def verdicts(folder: Path, keep: Callable[[Row], bool] = lambda row: True, say: Any = print) -> list[Verdict]:
    """Judge all accepted runs that have probes, and long ones."""

    probed = {r["name"]: r["numbers"] for r in map(json.loads, (folder / "probes.jsonl").read_text().splitlines())}
    tools, found = linters.installed(), []
    for row in grid.manifest(folder):
        known = row["name"] in probed or row["fault"] == "long"
        if row["accepted"] and known and keep(row):
            found.append(_verdict(folder, row, probed.get(row["name"]), tools))
            if len(found) % 200 == 0:
                say(f"judged {len(found)}", flush=True)
    return found


def _verdict(folder: Path, row: Row, probes: Mapping[str, float] | None, tools: Mapping[str, Any]) -> Verdict:
    record, made = grid.read_record(folder, row["name"]), Verdict(row)
    log = log_numbers(record)
    numbers = {"curve": curve_numbers(record), "log": log}
    if probes is not None:
        numbers["live"] = fit.with_probes(log, probes)
    for tier, values in numbers.items():
        made.ranks[tier], made.first[tier], made.chances[tier] = _ranked(tier, values, row["cause"])
    made.log, made.ruled["log"] = _found(record)
    made.live, made.ruled["live"] = _found(record, probes) if probes is not None else (set(), set())
    for kind, log_of_kind in kinds.logs(record).items():
        same = log_of_kind is record
        made.told[kind] = made.log if same else _found(log_of_kind)[0]
        made.placed[kind] = made.ranks["log"] if same else _ranked(*evidence(log_of_kind, None), row["cause"])[0]
    for name, tool in tools.items():
        codes = tool(linters.rows_of(record))
        made.alarms[name], made.seen[name] = bool(codes), linters.meanings(codes)
    if row["fault"] in FAULTS and FAULTS[row["fault"]].from_start and made.log & made.right:
        begun = [step for name, step in timeline(record, looks=20).items() if name in made.right]
        made.when = min(begun) / max(1, record.steps[-1].step) if begun else math.nan
    return made


def _ranked(tier: str, values: Mapping[str, float], true: str) -> tuple[int, str, float]:
    judge = judges()[tier]
    chances = judge.probabilities(values)
    order = [judge.causes[k] for k in np.argsort(-chances, kind="stable")]
    return order.index(true) if true in order else len(order), order[0], float(chances.max())


def _found(record: Record, probes: Mapping[str, float] | None = None) -> tuple[set[str], set[str]]:
    """What a diagnosis finds, and what of it the rules find alone; warnings or worse."""
    by_rule = symptoms(record, probes)[0]
    everything = with_suspected(by_rule, causes(record, probes))
    some = ({s.id for s in found if s.severity != "info"} for found in (everything, by_rule))
    return next(some), next(some)


def interval(values: Sequence[float], clusters: Sequence[str], draws: int = 1000) -> tuple[float, float, float]:
    """Mean, and a 95 % interval by drawing clusters with replacement; Wilson's where there is one cluster only."""
    v, names = np.asarray(values, float), np.asarray(clusters)
    if not v.size:
        return math.nan, math.nan, math.nan
    groups = [v[names == name] for name in np.unique(names)]
    if len(groups) < 3:
        return (float(v.mean()), *_wilson(float(v.mean()), v.size))
    sums, counts = np.array([g.sum() for g in groups]), np.array([g.size for g in groups])
    drawn = np.random.default_rng(0).integers(0, len(groups), (draws, len(groups)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    wide = _wilson(float(v.mean()), v.size)
    return float(v.mean()), float(min(low, wide[0])), float(max(high, wide[1]))


def _wilson(p: float, n: int, z: float = 1.96) -> tuple[float, float]:
    centre, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n),
    )
    return max(0.0, centre - half), min(1.0, centre + half)


PARTS: dict[str, Callable[[Row], bool]] = {
    "development": lambda row: not row["held_out"],
    "held out": lambda row: bool(row["held_out"]),
    "new faults": lambda row: "fault" in row["held_out"],
    "newest faults": lambda row: row["fault"] in FAULTS and FAULTS[row["fault"]].newest,
    "known faults": lambda row: bool(row["held_out"]) and "fault" not in row["held_out"] and row["fault"] in FAULTS,
    "new data": lambda row: "data" in row["held_out"],
    "new networks": lambda row: "architecture" in row["held_out"],
}


def table(found: Sequence[Verdict]) -> dict[str, dict[str, tuple[float, float, float, int]]]:
    """All figures of all parts: mean, interval, number of runs."""
    return {name: _figures([v for v in found if keep(v.row)]) for name, keep in PARTS.items()}


def _figures(found: Sequence[Verdict]) -> dict[str, tuple[float, float, float, int]]:
    sick = [v for v in found if v.row["cause"] != HEALTHY]
    twins, long = ([v for v in found if v.row["fault"] == name] for name in ("healthy", "long"))
    rows: dict[str, tuple[Sequence[Verdict], Callable[[Verdict], float]]] = {
        "symptom, live": (sick, lambda v: bool(v.live & v.right)),
        "symptom, log": (sick, lambda v: bool(v.log & v.right)),
        "symptom by rules alone, live": (sick, lambda v: bool(v.ruled["live"] & v.right)),
        "symptom by rules alone, log": (sick, lambda v: bool(v.ruled["log"] & v.right)),
        "symptom as first written, live": (sick, lambda v: bool(v.live & v.stated)),
        "symptom as first written, log": (sick, lambda v: bool(v.log & v.stated)),
        "cause top-1, live": (sick, lambda v: v.ranks["live"] < 1),
        "cause top-3, live": (sick, lambda v: v.ranks["live"] < 3),
        "right cause told first, live": (sick, lambda v: v.ranks["live"] < 1 and bool(v.live)),
        "cause top-1, log": (sick, lambda v: v.ranks["log"] < 1),
        "cause top-3, log": (sick, lambda v: v.ranks["log"] < 3),
        "cause top-3, five columns": (sick, lambda v: v.ranks["curve"] < 3),
        "false alarms on twins, log": (twins, lambda v: bool(v.log)),
        "false alarms on twins, live": (twins, lambda v: bool(v.live)),
        "twins accused by the live judge": (twins, lambda v: v.first["live"] != HEALTHY),
        "false alarms on long runs, log": (long, lambda v: bool(v.log)),
        "false alarms on long runs, live": ([v for v in long if "live" in v.ranks], lambda v: bool(v.live)),
    }
    for kind in kinds.KINDS:
        rows |= _by_kind(kind, *([v for v in group if kind in v.told] for group in (sick, twins, long)))
    for tool in sorted({name for v in found for name in v.seen}):
        rows[f"symptom, {tool}"] = (sick, lambda v, t=tool: bool(v.seen[t] & v.right))
        rows[f"any finding, {tool}"] = (sick, lambda v, t=tool: v.alarms[t])
        rows[f"false alarms on twins, {tool}"] = (twins, lambda v, t=tool: v.alarms[t])
        rows[f"false alarms on long runs, {tool}"] = (long, lambda v, t=tool: v.alarms[t])
    made = {}
    for name, (runs, ask) in rows.items():
        made[name] = (*interval([float(ask(v)) for v in runs], [v.row["dataset"] for v in runs]), len(runs))
    for tier in ("live", "log"):
        counts = [len(getattr(v, tier)) for v in sick]
        made[f"findings a faulty run, {tier}"] = (float(np.mean(counts or [math.nan])), math.nan, math.nan, len(sick))
    times = [v.when for v in sick if math.isfinite(v.when)]
    made["median share of the run until the first right symptom"] = (
        *((float(np.median(times)), *map(float, np.quantile(times, [0.25, 0.75]))) if times else (math.nan,) * 3),
        len(times),
    )
    made["calibration error, live"] = (
        calibration([v for v in found if "live" in v.chances]),
        math.nan,
        math.nan,
        len(found),
    )
    return made


def _by_kind(
    kind: str, sick: list[Verdict], twins: list[Verdict], long: list[Verdict]
) -> dict[str, tuple[Sequence[Verdict], Callable[[Verdict], float]]]:
    return {
        f"symptom, {kind}": (sick, lambda v: bool(v.told[kind] & v.right)),
        f"cause top-1, {kind}": (sick, lambda v: v.placed[kind] < 1),
        f"cause top-3, {kind}": (sick, lambda v: v.placed[kind] < 3),
        f"false alarms on twins, {kind}": (twins, lambda v: bool(v.told[kind])),
        f"false alarms on long runs, {kind}": (long, lambda v: bool(v.told[kind])),
    }


def calibration(found: Sequence[Verdict], bins: int = 10) -> float:
    """Expected calibration error of the first cause's probability."""
    if not found:
        return math.nan
    chance = np.array([v.chances["live"] for v in found])
    hit = np.array([v.ranks["live"] == 0 for v in found], float)
    at = np.minimum((chance * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(chance[at == b].mean() - hit[at == b].mean()) * (at == b).mean() for b in range(bins) if (at == b).any()
        )
    )


def confusions(found: Sequence[Verdict], tier: str = "live", most: int = 25) -> list[tuple[str, str, int, int]]:
    """(fault, first cause said instead, how often, of how many), most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    totals: dict[str, int] = {}
    for v in found:
        totals[v.row["fault"]] = totals.get(v.row["fault"], 0) + 1
        if v.ranks[tier] > 0:
            key = v.row["fault"], v.first[tier]
            counts[key] = counts.get(key, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])[:most]
    return [(fault, said, n, totals[fault]) for (fault, said), n in ranked]


def by_fault(found: Sequence[Verdict]) -> dict[str, list[Any]]:
    """Of each fault: cause, runs; right symptom and first cause, live; right symptom and cause in three, log."""
    groups: dict[str, list[Verdict]] = {}
    for v in found:
        groups.setdefault(v.row["fault"], []).append(v)
    made = {}
    for fault, runs in sorted(groups.items()):
        hits = [sum(bool(v.live & v.right) for v in runs), sum(v.ranks["live"] < 1 for v in runs)]
        hits += [sum(bool(v.log & v.right) for v in runs), sum(v.ranks["log"] < 3 for v in runs)]
        made[fault] = [FAULTS[fault].cause, len(runs), *hits]
    return made


def alarms(found: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """Which findings sound runs got, and how often: live on twins, from the log on twins and on long runs."""
    made: dict[str, dict[str, int]] = {"twins, live": {}, "twins, log": {}, "long runs, log": {}}
    for v in found:
        if v.row["cause"] == HEALTHY:
            kind = "long runs" if v.row["fault"] == "long" else "twins"
            for name, ids in ((f"{kind}, live", v.live), (f"{kind}, log", v.log)):
                for sign in ids if name in made else ():
                    made[name][sign] = made[name].get(sign, 0) + 1
    return made


def printed(made: Mapping[str, Mapping[str, tuple[float, float, float, int]]]) -> str:
    names = list(dict.fromkeys(name for part in made.values() for name in part))
    lines = [f"{'':54s}" + "".join(f"{part:>26s}" for part in made)]
    for name in names:
        cells = []
        for part in made.values():
            mean, low, high, n = part.get(name, (math.nan, math.nan, math.nan, 0))
            cells.append("-" if not n or math.isnan(mean) else f"{mean:.2f} [{low:.2f}, {high:.2f}] {n}")
        lines.append(f"{name:54s}" + "".join(f"{cell:>26s}" for cell in cells))
    return "\n".join(lines)
