"""Turn facts into the sentences that a person should read first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lossmith.select.columns import quoted
from lossmith.select.records import Facts, RowSuspects

_IMBALANCED = 4.0
_NOISY = 0.03
_LEAST_WRONG = 3  # one wrong label among a few sure rows is chance
_GAPS = 0.3


def warnings_of(facts: Facts) -> tuple[str, ...]:
    """Say what deserves a look, the gravest first.

    Parameters
    ----------
    facts : Facts
        The analysis.

    Returns
    -------
    tuple of str
        A sentence each; empty if nothing stands out.
    """
    return (*_of_leaks(facts), *_of_rows(facts), *_of_target(facts), *_of_columns(facts))


def _of_leaks(facts: Facts) -> Iterator[str]:
    for leak in facts.leaks:
        yield (
            f"column {quoted(leak.column)} alone predicts the target ({leak.measure} {leak.score:.3f}): "
            "if it is not known when predictions are made, remove it"
        )


def _of_rows(facts: Facts) -> Iterator[str]:
    noise = facts.label_noise
    if noise is not None and _labels_look_wrong(facts):
        yield (
            f"{_some(noise)} have a label that the other rows confidently dispute: probably wrong labels; "
            f"look at {_rows(noise)}"
        )
    for outliers in (facts.target_outliers, facts.residual_outliers):
        if outliers is not None and outliers.count:
            yield (
                f"{_some(outliers)} stand out by the rule '{outliers.rule}': errors, rare events or a heavy "
                f"tail; look at {_rows(outliers)}"
            )


def _labels_look_wrong(facts: Facts) -> bool:
    """Errors that the learner is sure of and that hardly thin out where it is surest, if it has learnt at all."""
    error, floor, noise = facts.label_error, facts.label_noise_floor, facts.label_noise
    if error is None or floor is None or noise is None:
        return False
    guessing = 1 - max(facts.class_counts) / facts.rows
    enough = floor * facts.rows / 5 >= _LEAST_WRONG
    sure = noise.share > 0.15 * error
    return enough and sure and floor > _NOISY and floor > error / 2 and error < 0.7 * guessing


def _some(found: RowSuspects) -> str:
    return f"{found.count} row{'s' * (found.count > 1)} ({100 * found.share:.2g} %)"


def _rows(found: RowSuspects) -> str:
    return f"data row{'s' * (found.count > 1)} " + ", ".join(str(row + 1) for row in found.rows[:5])


def _of_target(facts: Facts) -> Iterator[str]:
    if facts.imbalance_ratio is not None and facts.imbalance_ratio >= _IMBALANCED:
        rare = facts.classes[facts.class_counts.index(min(facts.class_counts))]
        yield (
            f"classes are imbalanced {facts.imbalance_ratio:.1f} to 1, rarest {quoted(rare)} with "
            f"{min(facts.class_counts)} rows: judge by more than accuracy"
        )
    if facts.task == "ordinal" and isinstance(facts.classes[0], str):
        order = " < ".join(quoted(label, 20) for label in facts.classes[:6])
        yield f"grades are taken in the order {order}; if that is wrong, recode the target as 1, 2, 3"
    if facts.residuals is not None and facts.residuals.r2 < 0.02:
        yield f"the features hardly explain the target (quick out-of-fold R2 {facts.residuals.r2:.3f})"


def _of_columns(facts: Facts) -> Iterator[str]:
    yield from _list("constant and carry nothing", facts.constant_columns)
    yield from _list("identify the row and are left out", facts.identifying_columns)
    yield from _list("text with more than 50 levels; rare levels are pooled", facts.high_cardinality_columns)
    gaps = [c.name for c in facts.columns if c.missing > _GAPS * facts.rows and not c.constant]
    yield from _list(f"missing in more than {100 * _GAPS:.0f} % of the rows", gaps)
    yield from _list("hold infinite values, taken as missing", (c.name for c in facts.columns if c.infinite))
    nearly = (c.name for c in facts.columns if c.numeric_share is not None and 0.5 < c.numeric_share < 1)
    yield from _list("mostly numbers but hold text too, so taken as text", nearly)


def _list(what: str, names: Iterable[str]) -> Iterator[str]:
    known = list(names)
    if known:
        more = f" and {len(known) - 5} more" if len(known) > 5 else ""
        yield f"columns {', '.join(quoted(name) for name in known[:5])}{more}: {what}"
