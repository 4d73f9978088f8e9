"""Step 6: trainings become records, the chosen model's held-out predictions numbers, and the rules look at both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from lossmith.diagnose.held_out import HeldOut
from lossmith.diagnose.record import Facts, Record, Step
from lossmith.diagnose.symptoms import ADVICE, RULES, NotRun, Rule, Symptom, symptoms
from lossmith.workflow.outcomes import Curve

# The rules that hold for solvers and boosted trees; the others are about batches, layers and networks.
CHECKS = (
    "LM-SLOW",
    "LM-VANISH",
    "LM-EXPLODE",
    "LM-IMBALANCE",
    "LM-OUTLIERS",
    "LM-MINIMA",
    "LM-OVERFIT",
    "LM-NAN",
    "LM-DIVERGE",
)


@final
@dataclass(frozen=True)
class Finding:
    """One check of the trainings and of the model they gave.

    Attributes
    ----------
    id, name : str
        Of the symptom, such as "LM-SLOW", "slow convergence".
    severity : str
        "error", "warning" or "info".
    seen : bool or None
        Whether it shows; None when the check could not run.
    evidence : str
        The measured numbers and the thresholds they are held against; empty when there is nothing to tell.
    cause, remedy : str
        Where it usually comes from, and what to do about it.
    could_not_run : str
        Why, when ``seen`` is None; empty otherwise.
    article : str
        What the common troubleshooting table says, and where that is wrong.
    """

    id: str
    name: str
    severity: str
    seen: bool | None
    evidence: str
    cause: str
    remedy: str
    could_not_run: str
    article: str


def record_of(curve: Curve, last: Step | None = None, **facts: object) -> Record:
    """Turn one training into a record.

    Parameters
    ----------
    curve : Curve
        Losses after each iteration. Held-out losses count up to the model that was kept; what came after it harmed
        nobody.
    last : Step, optional
        Whose metrics are added to the last iteration.
    **facts
        Of :class:`lossmith.diagnose.record.Facts`.

    Returns
    -------
    Record
    """
    metrics = {} if last is None else dict(last.metrics)
    end = len(curve.iterations) - 1
    steps = (
        Step(
            iteration,
            loss=curve.train[i] if curve.train else None,
            eval_loss=curve.valid[i] if curve.valid and iteration <= curve.kept else None,
            grad_norm=curve.gradient_norm[i] if curve.gradient_norm else None,
            metrics=metrics if i == end else {},
        )
        for i, iteration in enumerate(curve.iterations)
    )
    return Record.of(Facts(framework=curve.learner, **facts), steps)  # type: ignore[arg-type]


def findings_of(
    curves: Iterable[Curve], held: HeldOut, restarts: Sequence[float] = (), classes: Sequence[int] = ()
) -> tuple[Finding, ...]:
    """Check how the chosen model was trained and what it predicts.

    Parameters
    ----------
    curves : iterable of Curve
        One for each fold.
    held : HeldOut
        Its predictions for rows held out.
    restarts : sequence of float
        Final objectives from several starts; empty if that was not tried.
    classes : sequence of int
        Rows of each class; empty for numeric targets.

    Returns
    -------
    tuple of Finding
        One for each of the checks, in their order. What could not run says so; it never passes silently. What shows
        in one training alone is not told, unless it is an error.
    """
    metrics = held.recalls() | {f"restart_loss_{i}": value for i, value in enumerate(restarts)}
    numbers, last = held.numbers(), Step(0, metrics=metrics)
    counts = tuple(int(count) for count in classes)
    records = [record_of(c, last, class_counts=counts, classes=len(counts) or None) for c in curves]
    results = [symptoms(record, numbers, CHECKS) for record in records or [Record.of(Facts(), [last])]]
    rules = {rule.id: rule for rule in RULES}
    return tuple(_joined(rules[name], results) for name in CHECKS)


def _joined(rule: Rule, results: Sequence[tuple[tuple[Symptom, ...], tuple[NotRun, ...]]]) -> Finding:
    seen = [s for found, _ in results for s in found if s.id == rule.id]
    unrun = [n for _, missing in results for n in missing if n.id == rule.id]
    enough = 1 if rule.severity == "error" else (len(results) + 1) // 2
    shows = len(seen) >= enough
    blind = not shows and len(unrun) == len(results)
    return Finding(
        rule.id,
        rule.name,
        rule.severity,
        None if blind else shows,
        _evidence(seen, len(results)) if seen else "",
        ADVICE[rule.id].cause,
        ADVICE[rule.id].remedy,
        unrun[0].reason if blind else "",
        ADVICE[rule.id].article,
    )


def _evidence(seen: Sequence[Symptom], trainings: int) -> str:
    first = seen[0].evidence
    if trainings == 1 or all(symptom.evidence == first for symptom in seen):
        return first
    return f"in {len(seen)} of {trainings} trainings: {first}"
