"""Why a training goes wrong: causes ranked by a model that was fitted to injected faults, and can be read."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, final

import numpy as np

from lossmith.diagnose.features import curve_numbers, log_numbers
from lossmith.diagnose.marks import marks, paired_numbers
from lossmith.diagnose.record import Record
from lossmith.diagnose.remedies import REMEDIES, Remedy
from lossmith.diagnose.sentences import told
from lossmith.diagnose.words import CAUSES

Array = np.ndarray[Any, Any]
Numbers = Mapping[str, float]
HEALTHY = "healthy"


@final
@dataclass(frozen=True)
class Cause:
    """One possible reason.

    Attributes
    ----------
    id : str
        Stable, such as "learning-rate-too-high"; "healthy" stands for: nothing that the model knows.
    name : str
        In words.
    probability : float
        Among all causes and "healthy"; they sum to 1.
    evidence : tuple of str
        The numbers that speak for it most, beside their range in healthy runs.
    remedies : tuple of Remedy
        The first is the one to try first.
    """

    id: str
    name: str
    probability: float
    evidence: tuple[str, ...]
    remedies: tuple[Remedy, ...]


@final
@dataclass(frozen=True)
class Scale:
    """How one number becomes evidence: ramps from 0 to 1 between neighbouring knots.

    Attributes
    ----------
    knots : ndarray, shape (m,)
        Rising.
    middle : ndarray, shape (m - 1,)
        Mean of each ramp over the runs that it was fitted to; a missing number counts as this.
    healthy : tuple of float
        5 % and 95 % quantile in healthy runs.
    """

    knots: Array
    middle: Array
    healthy: tuple[float, float]

    def ramps(self, value: float) -> Array:
        """Turn a value into evidence.

        Parameters
        ----------
        value : float
            The number.

        Returns
        -------
        ndarray, shape (m - 1,)
            Ramps less their mean.
        """
        low, high = self.knots[:-1], self.knots[1:]
        return np.asarray(np.clip((value - low) / (high - low), 0.0, 1.0) - self.middle)


@final
@dataclass(frozen=True)
class Judge:
    """Multinomial logistic regression on ramps: additive, so each number's part in the verdict can be told.

    Attributes
    ----------
    causes : tuple of str
        With "healthy".
    scales : mapping of str to Scale
        By the number's name.
    weights : mapping of str to ndarray, shape (ramps, causes)
        By the number's name.
    bias : ndarray, shape (causes,)
        Evidence of the prior.
    """

    causes: tuple[str, ...]
    scales: Mapping[str, Scale]
    weights: Mapping[str, Array]
    bias: Array

    def parts(self, numbers: Numbers) -> dict[str, Array]:
        """Tell what each number adds to each cause.

        Parameters
        ----------
        numbers : mapping of str to float
            Those unknown to the judge are ignored.

        Returns
        -------
        dict of str to ndarray, shape (causes,)
            Log odds.
        """
        return {
            name: scale.ramps(numbers[name]) @ self.weights[name]
            for name, scale in self.scales.items()
            if name in numbers
        }

    def probabilities(self, numbers: Numbers) -> Array:
        """Weigh all numbers.

        Parameters
        ----------
        numbers : mapping of str to float
            As measured; missing ones say nothing.

        Returns
        -------
        ndarray, shape (causes,)
            Summing to 1.
        """
        total = self.bias + sum(self.parts(numbers).values(), np.zeros(len(self.causes)))
        e = np.exp(total - total.max())
        return np.asarray(e / e.sum())


def causes(record: Record | None, probes: Numbers | None = None) -> tuple[Cause, ...]:
    """Rank the causes of what a record and probes show.

    Parameters
    ----------
    record : Record, optional
        What happened. A log with layers or facts says more than curves alone.
    probes : mapping of str to float, optional
        What `lossmith.diagnose.probes.examine` measured on the live model.

    Returns
    -------
    tuple of Cause
        Most probable first; "healthy" is among them.

    Raises
    ------
    ValueError
        If there is neither a record nor probes.
    """
    if record is None and not probes:
        raise ValueError("nothing to judge: give a record, probes' numbers, or both")
    tier, numbers = evidence(record, probes)
    judge = judges()[tier]
    chances, parts = judge.probabilities(numbers), judge.parts(numbers)
    ranked = np.argsort(-chances, kind="stable")
    return tuple(_cause(judge, int(k), float(chances[k]), numbers, parts) for k in ranked)


def evidence(record: Record | None, probes: Numbers | None) -> tuple[str, dict[str, float]]:
    """Gather all numbers, and say which judge they suit.

    Parameters
    ----------
    record : Record or None
        What happened.
    probes : mapping of str to float or None
        What probes measured.

    Returns
    -------
    tier : str
        "live" with both, "probes" without a record, "log" for a record with layers or updates, else "curve".
    numbers : dict of str to float
        A probe's number is called ``probe.NAME``.
    """
    found = {} if record is None else log_numbers(record)
    if probes:
        found |= {f"probe.{name}": float(value) for name, value in probes.items()}
        found |= paired_numbers(found)
        return "live" if record is not None else "probes", found | marks(found)
    assert record is not None
    rich = bool(record.layer_names) or "update_norm" in record.names
    return ("log", found) if rich else ("curve", curve_numbers(record))


def _cause(judge: Judge, k: int, chance: float, numbers: Numbers, parts: Mapping[str, Array]) -> Cause:
    key = judge.causes[k]
    # What a number adds to this cause beyond what it adds to the average cause.
    pull = {name: float(part[k] - part.mean()) for name, part in parts.items()}
    first = sorted((name for name in pull if not name.startswith("mark.")), key=lambda name: -pull[name])
    unusual = [name for name in first if pull[name] > 0.1 and _outside(judge.scales[name], numbers[name])]
    chosen = first[:3] if key == HEALTHY else (unusual or first)[:3]
    lines = tuple(told(name, numbers[name], judge.scales[name].healthy) for name in chosen)
    return Cause(key, CAUSES.get(key, key), chance, lines, REMEDIES.get(key, ()))


def _outside(scale: Scale, value: float) -> bool:
    return not scale.healthy[0] <= value <= scale.healthy[1]


@functools.cache
def judges() -> Mapping[str, Judge]:
    """Read the judges that the bench fitted.

    Returns
    -------
    mapping of str to Judge
        By tier: "curve", "log", "probes", "live".
    """
    text = resources.files("lossmith.diagnose").joinpath("judges.json").read_text(encoding="utf-8")
    return {tier: _judge(made) for tier, made in json.loads(text)["tiers"].items()}


def _judge(made: Mapping[str, Any]) -> Judge:
    scales, weights = {}, {}
    for name, number in made["numbers"].items():
        knots, table = np.array(number["knots"]), np.zeros((len(number["knots"]) - 1, len(made["causes"])))
        for ramp, cause, weight in number["weights"]:
            table[ramp, cause] = weight
        scales[name] = Scale(knots, np.array(number["middle"]), (number["healthy"][0], number["healthy"][1]))
        weights[name] = table
    return Judge(tuple(made["causes"]), scales, weights, np.array(made["bias"]))
