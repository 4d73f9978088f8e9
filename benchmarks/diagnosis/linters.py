"""The three linters on PyPI, on the same logs. Each is optional; one that is missing is left out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from lossmith.diagnose.record import Record

# What each code says, in our ids; a linter is right when it says anything that is right for the fault.
MEANS = {
    "nan_inf": ("LM-NAN",),
    "loss_spike": ("LM-SPIKE", "LM-OUTLIERS", "LM-OSCILLATE"),
    "divergence": ("LM-DIVERGE", "LM-EXPLODE"),
    "overfit_onset": ("LM-OVERFIT",),
    "stagnation": ("LM-PLATEAU", "LM-SLOW", "LM-FROZEN"),
    "GS001": ("LM-NAN",),
    "GS002": ("LM-NAN", "LM-EXPLODE"),
    "GS003": ("LM-SPIKE", "LM-EXPLODE", "LM-OUTLIERS"),
    "GS004": ("LM-OVERFIT",),
    "GS005": ("LM-PLATEAU", "LM-SLOW", "LM-FROZEN"),
    "GS006": ("LM-DIVERGE", "LM-EXPLODE"),
    "GS007": ("LM-VANISH",),
    "GS008": ("LM-SCALE", "LM-EXPLODE", "LM-FROZEN"),
    "GS009": ("LM-OSCILLATE",),
    "GS010": ("LM-LRZERO",),
    "TP-NAN": ("LM-NAN",),
    "TP-NAN-GRAD": ("LM-NAN",),
    "TP-FLAT": ("LM-PLATEAU", "LM-SLOW", "LM-FROZEN"),
    "TP-DIVERGE": ("LM-DIVERGE", "LM-EXPLODE"),
    "TP-DEAD-RUN": ("LM-PLATEAU", "LM-SLOW", "LM-FROZEN", "LM-DEAD"),
    "TP-ZERO-GRAD": ("LM-VANISH", "LM-FROZEN", "LM-DEAD", "LM-UNDERFLOW"),
    "TP-GRAD-SPIKE": ("LM-SPIKE", "LM-EXPLODE", "LM-OUTLIERS"),
    "TP-ZERO-LR": ("LM-LRZERO", "LM-FROZEN"),
    "TP-ZERO-LR-PARTIAL": ("LM-LRZERO",),
    "TP-OVERFIT": ("LM-OVERFIT",),
}


def rows_of(record: Record) -> list[dict[str, float]]:
    """The five columns that all of them read."""
    names = ("loss", "eval_loss", "grad_norm", "learning_rate")
    found = []
    for step in record.steps:
        values = {name: step.value(name) for name in names}
        found.append({"step": step.step, **{k: v for k, v in values.items() if v is not None}})
    return found


def losslint(rows: list[dict[str, float]]) -> set[str]:
    from losslint.checks import run_all_checks
    from losslint.parsing import RunLog

    names = ("loss", "eval_loss", "grad_norm", "learning_rate")
    series = {name: [row.get(name) for row in rows] for name in names}
    run = RunLog([int(row["step"]) for row in rows], series, Path("run.jsonl"))
    return {f.check for f in run_all_checks(run) if f.severity != "info"}


def gradsnitch(rows: list[dict[str, float]]) -> set[str]:
    import pandas as pd
    from gradsnitch import lint

    frame = pd.DataFrame(rows).rename(columns={"loss": "train_loss", "eval_loss": "val_loss", "learning_rate": "lr"})
    return {f.code for f in lint(frame)}


def trainproof(rows: list[dict[str, float]]) -> set[str]:
    from trainproof.epoch import check_records

    renamed = [{("lr" if k == "learning_rate" else k): v for k, v in row.items()} for row in rows]
    return {f["id"] for f in check_records(renamed)["findings"] if f["level"] in ("WARN", "FAIL")}


def installed() -> dict[str, Callable[[list[dict[str, float]]], set[str]]]:
    found = {}
    for lint in (losslint, gradsnitch, trainproof):
        try:
            importlib.import_module(lint.__name__)
        except ImportError:
            continue
        found[lint.__name__] = lint
    return found


def meanings(codes: set[str]) -> set[str]:
    return {meaning for code in codes for meaning in MEANS.get(code, ())}
