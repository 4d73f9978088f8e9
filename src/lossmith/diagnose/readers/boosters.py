"""Evaluation logs of LightGBM, XGBoost and CatBoost: their results as dicts or JSON, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..record import Facts, Record, Step
from .build import in_order
from .json_lines import as_number
from .naming import Naming
from .stream import lines
from .texts import LONGEST, Gaps

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
_LIGHTGBM = re.compile(rf"([\w. -]+?)'s ([\w@.-]+): ({_NUMBER})")
_XGBOOST = re.compile(rf"(\S+?)-([\w@.-]+):({_NUMBER})")
_CATBOOST = re.compile(rf"\b(learn|test\d*|validation\w*): ({_NUMBER})")
_ROUND = re.compile(r"^(?:\[\w+\]\s*)?(?:\[(\d{1,18})\]|(\d{1,18}):)\s")
_TRAIN = re.compile(r"^(?:train|training|learn|dtrain)", re.IGNORECASE)
# Measures that grow as a model gets better are no losses.
_GAINS = re.compile(
    r"^(?:auc|aucpr|accuracy|acc|ndcg|map|average_precision|f1|r2|precision|recall|pre|mcc|kappa)", re.I
)

Results = Mapping[str, Mapping[str, Sequence[float]]]


def looks_like_results(said: Any) -> bool:
    """Tell whether an object has the form {rows: {measure: [values]}}.

    Parameters
    ----------
    said : object
        As parsed from JSON, or as the user gave it.

    Returns
    -------
    bool
        True for results of LightGBM, XGBoost and CatBoost.
    """
    return (
        isinstance(said, Mapping)
        and bool(said)
        and all(isinstance(measures, Mapping) and measures for measures in said.values())
        and all(isinstance(v, (list, tuple)) for measures in said.values() for v in measures.values())
    )


def from_results(said: Results, facts: Facts, limit: int) -> Record:
    """Make a record of a booster's evaluation results.

    Parameters
    ----------
    said : mapping of str to mapping of str to sequence of float
        For each set of rows, for each measure, its value after each round.
    facts : Facts
        Known before.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        The first measure that falls as a model gets better is the loss; how the sets were taken is noted.

    Raises
    ------
    ValueError
        If there are no rounds in it.
    """
    rounds = max((len(v) for measures in said.values() for v in measures.values()), default=0)
    rows = (
        {
            (name, m): number
            for name, measures in said.items()
            for m, v in measures.items()
            if (number := _at(v, i)) is not None
        }
        for i in range(rounds)
    )
    return from_rounds(enumerate(rows), facts, limit)


def _at(values: Sequence[float], index: int) -> float | None:
    return as_number(values[index]) if index < len(values) else None


def looks_printed(first: list[str]) -> bool:
    """Tell whether lines are what a booster prints.

    Parameters
    ----------
    first : list of str
        The first lines of a file.

    Returns
    -------
    bool
        True if one of them begins with a round and holds a measure.
    """
    return any(_ROUND.match(line) and _printed(line) for line in first)


def read_printed(path: Path, facts: Facts, naming: Naming, limit: int) -> Record:
    """Read what LightGBM, XGBoost or CatBoost printed.

    Parameters
    ----------
    path : Path
        The file; lines of other kinds are passed over.
    facts : Facts
        Known before.
    naming : Naming
        Not used: the measures say which rows they are of.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        One step for each round printed.
    """
    gaps = Gaps()

    def rounds() -> Iterable[tuple[int, dict[tuple[str, str], float]]]:
        for place, line in lines(path, 4 * limit):
            gaps.line(place)
            start = _ROUND.match(line)
            found = _printed(line) if start else {}
            if start and found:
                gaps.used += 1
                yield int(start.group(1) or start.group(2)), found

    record = from_rounds(rounds(), facts, limit)
    record.pass_over(int(gaps.passed))
    return record


def _printed(line: str) -> dict[tuple[str, str], float]:
    body = _ROUND.sub("", line[:LONGEST])
    if found := _LIGHTGBM.findall(body):
        return {(rows.strip(), measure): float(value) for rows, measure, value in found}
    if found := _XGBOOST.findall(body):
        return {(rows, measure): float(value) for rows, measure, value in found}
    return {(rows, "loss"): float(value) for rows, value in _CATBOOST.findall(body)}


def from_rounds(rounds: Iterable[tuple[int, Mapping[tuple[str, str], float]]], facts: Facts, limit: int) -> Record:
    """Make a record of measures by rows and round.

    Parameters
    ----------
    rounds : iterable of (int, mapping)
        Round, and for each (rows, measure) its value.
    facts : Facts
        Known before.
    limit : int
        Steps kept in memory.

    Returns
    -------
    Record
        See `from_results`.

    Raises
    ------
    ValueError
        If there are no rounds.
    """
    record = Record(facts, limit=limit)
    roles: dict[tuple[str, str], str] = {}
    for number, found in rounds:
        if any(key not in roles for key in found):
            roles = booster_roles(list(dict.fromkeys([*roles, *found])))
        named = {roles[key]: value for key, value in found.items()}
        loss, held_out = named.pop("loss", None), named.pop("eval_loss", None)
        record.add(Step(number, loss, held_out, metrics=named))
    if record.total == 0:
        raise ValueError("it holds no round of a booster")
    said = ", ".join(f"{role} from {measure} of '{rows}'" for (rows, measure), role in roles.items() if "loss" in role)
    if said:
        record.note(f"columns read by their names: {said}")
    return in_order(record)


def booster_roles(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Decide which rows were learned from and which measure is the loss.

    Parameters
    ----------
    keys : sequence of (str, str)
        Rows and measure of all that was evaluated.

    Returns
    -------
    dict of (str, str) to str
        "loss", "eval_loss", or the name of a metric.

    Examples
    --------
    >>> booster_roles([("training", "auc"), ("training", "l2"), ("valid_1", "l2")])[("valid_1", "l2")]
    'eval_loss'
    """
    sets = list(dict.fromkeys(rows for rows, _ in keys))
    learned = next((s for s in sets if _TRAIN.match(s)), None)
    if learned is None and len(sets) > 1:
        learned = sets[0]  # eval_set=[(train), (valid)] names them validation_0 and validation_1
    held_out = next((s for s in sets if s != learned), None)
    measure = next((m for _, m in keys if not _GAINS.match(m)), None)
    roles = {}
    for rows, m in keys:
        role = m if rows == learned else f"eval_{m}" if rows == held_out else f"eval_{m}_{rows}"
        if m == measure and rows in (learned, held_out):
            role = "loss" if rows == learned else "eval_loss"
        roles[rows, m] = role
    return roles
