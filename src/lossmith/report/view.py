"""From the run's record to what the page shows: the answer, the doubts, the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .words import NOTHING, number, percent, with_error

Record = Mapping[str, Any]
_MOST_ROWS = 60
_SHAPE = (
    ("minimum", "minimum", ""),
    ("median", "median", ""),
    ("mean", "mean", ""),
    ("maximum", "maximum", ""),
    ("std", "standard deviation", ""),
    ("mad", "robust standard deviation", "1.4826 × median absolute deviation"),
    ("zero_share", "share of zeros", "%"),
    ("negative_share", "share below zero", "%"),
    ("integer", "whole numbers only", ""),
    ("skew", "skewness", "0 is symmetric, 2 is exponential"),
    ("medcouple", "robust skewness", "−1 to 1; 0 is symmetric"),
    ("tail_weight", "tail weight", "1 is normal, 1.5 Laplace, 4.4 Cauchy"),
    ("dispersion_ratio", "variance / mean", "1 for a Poisson count without features"),
)
_RESIDUALS = (
    ("r2", "explained (R²)", "share of the variance, out of fold"),
    ("scale", "robust spread", "in the target's unit"),
    ("tail_weight", "tail weight", "1 is normal"),
    ("hill_index", "tail index", "below 2 the variance is infinite"),
    ("variance_power", "variance grows as mean to the", "0 constant, 1 Poisson, 2 gamma"),
    ("conditional_dispersion", "dispersion", "1 for a Poisson count; above 1.3 over-dispersed"),
    ("expected_zero_share", "zeros a Poisson would show", "%"),
)


def headline(record: Record) -> dict[str, Any]:
    """Return the answer: which loss, which learner, how good, against the default loss.

    Parameters
    ----------
    record : mapping
        ``run.json``.

    Returns
    -------
    dict
        Texts: ``loss``, ``learner``, ``score``, ``against``, ``verdict``; empty when the run has no final model.
    """
    final, metric = record.get("final"), record.get("metric") or {}
    if not final:
        return {}
    rival = _reference_label(record, final["learner"])
    return {
        "loss": final["label"],
        "learner": final["learner"],
        "metric": metric.get("name", "metric"),
        "better": "larger is better" if metric.get("greater_is_better") else "smaller is better",
        "score": with_error(final["score"], final["standard_error"]),
        "rival": rival,
        "against": with_error(final.get("reference_score"), final.get("reference_error")),
        "verdict": _verdict(record, final, metric, rival),
    }


def _reference_label(record: Record, learner: str) -> str:
    scores = (record.get("evaluation") or {}).get("scores") or ()
    found = [s["label"] for s in scores if s.get("reference") and s["learner"] == learner]
    return found[0] if found else "the default loss"


def _verdict(record: Record, final: Record, metric: Record, rival: str) -> str:
    if final.get("reference_score") is None:
        return "The default loss was not trained with this learner, so there is nothing to compare with."
    gain, error, paired = _lead(record, final, metric)
    if final["label"] == rival:
        more = "; what is gained comes from the remedies of step 7" if gain > 0 else ""
        compared = len((record.get("evaluation") or {}).get("scores") or ()) > 1
        return (
            f"The default loss {'is the right one for these data' if compared else 'was compared with no other'}{more}."
        )
    by = f" ({with_error(abs(gain), error)} {'on the same folds' if paired else 'apart'})"
    if gain > error:
        return f"Better than the default loss by more than one standard error{by}."
    if gain >= -error:
        return f"Not clearly better than the default loss, nor worse: within one standard error{by}."
    return f"Worse than the default loss by more than one standard error{by}: prefer the default."


def _lead(record: Record, final: Record, metric: Record) -> tuple[float, float, bool]:
    """Return how much better than the default loss, its standard error, and whether that is of paired folds."""
    for attempt in record.get("attempts") or ():
        if attempt.get("gain") is not None and _same(attempt, "before", "after", final):
            return -attempt["gain"], attempt["gain_error"] or 0.0, True
    scores = (record.get("evaluation") or {}).get("scores") or ()
    if scores and scores[0]["mean"] == final["score"]:
        for rival in scores:
            if rival["mean"] == final["reference_score"]:
                return rival["behind"], rival["behind_error"], True
    sign = 1.0 if metric.get("greater_is_better") else -1.0
    error = max(final["standard_error"] or 0.0, final.get("reference_error") or 0.0)
    return sign * (final["score"] - final["reference_score"]), error, False


def _same(attempt: Record, ours: str, theirs: str, final: Record) -> bool:
    return bool(attempt[ours] == final["score"] and attempt[theirs] == final["reference_score"])


def doubts(record: Record) -> list[str]:
    """Return what would change our mind, from the record's own numbers.

    Parameters
    ----------
    record : mapping
        ``run.json``.

    Returns
    -------
    list of str
        One sentence each.
    """
    evaluation, metric = record.get("evaluation") or {}, record.get("metric") or {}
    told: list[str] = []
    if record.get("interrupted"):
        told.append("The training was interrupted; the same command continues it and may find a better one.")
    elif (record.get("budget") or {}).get("cut"):
        told.append("The time budget ended before everything planned was tried; a larger --budget continues.")
    told += _ties(evaluation)
    told += [f"Diagnosis found {f['name']}: {f['evidence']}" for f in record.get("findings") or () if f.get("seen")]
    warnings = (record.get("facts") or {}).get("warnings") or ()
    if warnings:
        many = _count(len(warnings), "warning")
        told.append(f"The data raise {many} (step 1); if one is a fault, mend it and run again.")
    if metric:
        told.append(
            f"Another aim: {metric.get('name')} asks for the {metric.get('functional')}. If errors cost you something "
            "else, say --metric; other losses become admissible."
        )
    return told


def _ties(evaluation: Record) -> list[str]:
    scores = evaluation.get("scores") or ()
    chosen = evaluation.get("chosen")
    tied = [f"{s['label']} ({s['learner']})" for i, s in enumerate(scores) if s.get("tied") and i != chosen]
    if not scores:
        return []
    if len(scores) == 1:
        return ["More time: only one candidate finished all folds, so there was nothing to choose from."]
    if not tied:
        return ["Different data: no other candidate is within one standard error of the best."]
    shown = ", ".join(tied[:4]) + (f" and {len(tied) - 4} more" if len(tied) > 4 else "")
    return [f"More rows: {shown} {'is' if len(tied) == 1 else 'are'} within one standard error of the best."]


def _count(many: int, word: str) -> str:
    return f"{many} {word}" + ("" if many == 1 else "s")


def residual_rows(facts: Record) -> list[tuple[str, str, str]]:
    """Return what is left of the target around a quick fit: name, value, how to read it."""
    residuals = facts.get("residuals") or {}
    return [_row(residuals, *line) for line in _RESIDUALS if residuals.get(line[0]) is not None]


def target_rows(facts: Record) -> list[tuple[str, str, str]]:
    """Return the target's numbers: name, value, how to read it."""
    shape = facts.get("shape") or {}
    rows = [_row(shape, *line) for line in _SHAPE if shape.get(line[0]) is not None]
    if facts.get("classes"):
        rows.append(("classes", number(len(facts["classes"])), ""))
        rows.append(("largest / smallest class", number(facts.get("imbalance_ratio"), 3), "1 is balanced"))
        rows.append(("smallest class", percent(facts.get("minority_share")), "of the rows"))
    return rows


def _row(values: Record, key: str, name: str, hint: str) -> tuple[str, str, str]:
    value = values[key]
    return (name, percent(value), "") if hint == "%" else (name, number(value), hint)


def data_rows(facts: Record) -> list[tuple[str, str, str]]:
    """Return what the analysis found about rows and columns."""
    columns = facts.get("columns") or ()
    rows = [
        ("rows", number(facts.get("rows")), ""),
        ("feature columns", number(len(columns)), ""),
        ("missing cells", percent(facts.get("missing_share")), f"in {number(facts.get('rows_with_missing'))} rows"),
    ]
    for key, name in (
        ("constant_columns", "constant columns"),
        ("identifying_columns", "identifying columns"),
        ("high_cardinality_columns", "columns of many levels"),
    ):
        rows.append((name, number(len(facts.get(key) or ())), _listed(facts.get(key) or ())))
    for key, name in (
        ("target_outliers", "outliers of the target"),
        ("residual_outliers", "outliers around a quick fit"),
        ("label_noise", "disputed labels"),
    ):
        if found := facts.get(key):
            rows.append((name, f"{number(found['count'])} ({percent(found['share'])})", found["rule"]))
    leaks = [f"{leak['column']} ({leak['measure']} {number(leak['score'], 3)})" for leak in facts.get("leaks") or ()]
    rows.append(("suspected leaks", number(len(leaks)), _listed(leaks)))
    return rows


def _listed(names: Sequence[Any], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more


def traits(card: Record) -> str:
    """Return a candidate's claims in one phrase."""
    claims = card.get("traits") or {}
    words = ["convex" if claims.get("convex") else "not convex"]
    lipschitz = claims.get("lipschitz")
    words.append("unbounded pull" if lipschitz in ("inf", None) else f"pull at most {number(lipschitz, 3)}")
    words += ["kinked"] if claims.get("kinks") else []
    words += [word for word in ("proper", "calibrated") if claims.get(word)]
    words += ["redescending"] if claims.get("robust") == "redescending" else []
    return ", ".join(words)


def trial_facts(record: Record) -> dict[str, Any]:
    """Count trials, failures, reuse and time."""
    trials = record.get("trials") or ()
    failures = [t for t in trials if t.get("failure")]
    return {
        "count": len(trials),
        "reused": sum(bool(t.get("reused")) for t in trials),
        "failures": [f"{t['label']}, {t['learner']}, fold {t['fold'] + 1}: {t['failure']}" for t in failures[:8]],
        "failed": len(failures),
        "seconds": number(sum(t.get("seconds") or 0.0 for t in trials), 3),
    }


def score_rows(record: Record) -> list[dict[str, str | bool]]:
    """Return the table of candidates, best first."""
    evaluation = record.get("evaluation") or {}
    rows: list[dict[str, str | bool]] = []
    for index, score in enumerate((evaluation.get("scores") or ())[:_MOST_ROWS]):
        best = index == evaluation.get("best")
        rows.append(
            {
                "label": score["label"],
                "learner": score["learner"],
                "elicits": score.get("elicits") or NOTHING,
                "mean": with_error(score["mean"], score["standard_error"]),
                "train": number(score.get("train_mean")),
                "behind": "best" if best else with_error(score["behind"], score["behind_error"]),
                "bias": number(score.get("bias"), 3),
                "chosen": index == evaluation.get("chosen"),
                "tied": bool(score.get("tied")) and not best,
                "reference": bool(score.get("reference")),
            }
        )
    return rows


def calibration_rows(found: Record | None) -> list[tuple[str, str, str]]:
    """Return calibration in numbers."""
    if not found:
        return []
    rows = []
    if found.get("level") is not None:
        told = with_error(found.get("coverage"), found.get("coverage_error"))
        rows.append(("coverage", told, f"share of targets at or below; wanted is {number(found['level'])}"))
    rows.append(("expected error", number(found.get("expected_error"), 3), "mean distance of the dots from the line"))
    for key, hint in (
        ("brier", "mean squared error of the probability"),
        ("reliability", "its part due to miscalibration; 0 is perfect"),
        ("resolution", "its part gained by telling rows apart; larger is better"),
        ("uncertainty", "what always saying the base rate would cost"),
    ):
        if found.get(key) is not None:
            rows.append((key, number(found[key], 3), hint))
    return rows
