"""When a run may be called healthy: a criterion fixed before any held-out run was recorded.

A healthy run

1. is at least 5 % better than the best constant on rows that neither training nor validation saw (the test rows),
2. has a last held-out loss within 5 % of its lowest: it does not overfit,
3. is trained enough: the same loop with twice the steps, its schedule stretched to them, gets at most 5 % more of
   what the run gained over the best constant,
4. has a rate that suits: neither three times nor a third of the learning rate gains 10 % more.

Gains are taken in the error on the test rows: mean squared error, or log loss averaged over classes. A run that is
healthy and four times as long must pass 1 and 2 itself and be the continuation of a run that passes all four.
A run that is merely under-trained is thus no healthy twin, and a rule that says so raises no false alarm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossmith.diagnose.doctor import error
from lossmith.diagnose.plan import train

if TYPE_CHECKING:
    from .grid import Case

LONGER, RATE = 2.0, 3.0
BETTER, STEADY = 0.95, 1.05  # times the best constant's error; last over lowest held-out loss
MORE_STEPS, OTHER_RATE = 0.05, 0.10  # shares of the gain
FILE = "sound.jsonl"


def good(row: Mapping[str, Any]) -> bool:
    """Whether a row of the manifest passes 1 and 2."""
    return bool(row["final"] < BETTER * row["trivial"] and row["eval_last_over_min"] <= STEADY)


def enough(row: Mapping[str, Any], tried: Mapping[str, float]) -> bool:
    """Whether it passes 3, by what a longer training reached."""
    return bool(row["final"] - tried["longer"] <= MORE_STEPS * (row["trivial"] - row["final"]))


def passes(row: Mapping[str, Any], tried: Mapping[str, float]) -> bool:
    """Whether it passes 3 and 4, by what other trainings of it reached."""
    gain = row["trivial"] - row["final"]
    return enough(row, tried) and row["final"] - min(tried["slower"], tried["faster"]) <= OTHER_RATE * gain


def measure(case: Case, row: Mapping[str, Any]) -> dict[str, float]:
    """Train the twin longer, and if that was not needed at other rates, and judge each on the test rows."""

    def reached(steps: float = 1.0, rate: float = 1.0) -> float:
        setup = case.setup()
        whole = setup.schedule
        setup.steps, setup.learning_rate = int(steps * setup.steps), rate * setup.learning_rate
        if whole is not None:
            setup.schedule = lambda k: whole(int(k / steps))
        plan = setup.plan()
        return error(plan, train(plan).model, setup.test)

    tried = {"longer": reached(steps=LONGER)}
    return {**tried, "slower": reached(rate=1.0 / RATE), "faster": reached(rate=RATE)} if enough(row, tried) else tried


def read(folder: Path) -> dict[str, dict[str, float]]:
    """What was measured, by the run's name."""
    path = folder / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return {line["name"]: line for line in map(json.loads, lines)}


def measure_all(
    folder: Path, rows: Iterable[Mapping[str, Any]], case_of: Any, say: Any = print, part: tuple[int, int] = (0, 1)
) -> None:
    """Measure the good twins that were not measured yet."""
    done, tried = read(folder), 0
    for number, row in enumerate(rows):
        if number % part[1] == part[0] and row["fault"] == "healthy" and row["name"] not in done and good(row):
            keep(folder, row["name"], measure(case_of(row), row))
            tried += 1
            if tried % 50 == 0:
                say(f"tried {tried} twins", flush=True)


def keep(folder: Path, name: str, tried: Mapping[str, float]) -> None:
    values = {k: float(f"{v:.6g}") if math.isfinite(v) else 1e6 for k, v in tried.items()}
    with (folder / FILE).open("a") as file:
        file.write(json.dumps({"name": name, **values}) + "\n")
