"""One run, in the logs that users have: a monitor's full log, a loss with its evaluation, a loss alone."""

from __future__ import annotations

from lossmith.diagnose.record import Facts, Record, Step

FULL, EVALUATED, ALONE = "monitor's full log", "loss + evaluation", "loss only"
KINDS = (FULL, EVALUATED, ALONE)


def logs(record: Record) -> dict[str, Record]:
    """The run's log in each kind that it can be told in.

    The full log holds held-out losses, losses of single rows and layers; a run that was recorded without one of them
    has none. The other two are tables of two or three columns: facts, rates and norms are unknown.
    """
    evaluated = any(step.eval_loss is not None for step in record.steps)
    sampled = any(step.samples for step in record.steps)
    layered = any(step.layers for step in record.steps)
    found = {FULL: record} if evaluated and sampled and layered else {}
    if evaluated:
        found[EVALUATED] = Record.of(Facts(), (_evaluated(step) for step in record.steps))
    return {**found, ALONE: Record.of(Facts(), (Step(step.step, loss=step.loss) for step in record.steps))}


def _evaluated(step: Step) -> Step:
    metrics = {name: value for name, value in step.metrics.items() if name.startswith("eval_")}
    return Step(step.step, loss=step.loss, eval_loss=step.eval_loss, metrics=metrics)
