"""Kinds of columns and tasks are recognised, or refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossmith.core.errors import InputError
from lossmith.select.columns import as_numbers, as_text, describe_column, kind_of
from lossmith.select.facts import analyse, encode_target


def series(values, name="y"):
    return pd.Series(np.asarray(values), name=name)


KINDS = {
    "number": [1, 2.5, None],
    "boolean": [True, False, None],
    "date": ["2024-01-01", "2024-02-29T10:00", None],
    "text": ["a", "b", None],
    "empty": [None, None, None],
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_columns(kind):
    assert kind_of(pd.Series(KINDS[kind], dtype=object, name="c")) == kind


def test_kinds_of_other_types():
    import datetime
    import decimal

    assert kind_of(pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("Europe/Berlin"))) == "date"
    assert kind_of(pd.Series([datetime.date(2024, 1, 1)], dtype=object)) == "date"
    assert kind_of(pd.Series([decimal.Decimal("1.5")], dtype=object)) == "number"
    assert kind_of(pd.Series(pd.to_timedelta(["1D"]))) == "number"
    assert kind_of(pd.Series([1, 2], dtype="category")) == "text"
    assert kind_of(pd.Series([1, None], dtype="Int64")) == "number"
    assert kind_of(pd.Series([True, None], dtype="boolean")) == "boolean"
    assert kind_of(pd.Series(["2024-13-01"])) == "text"
    assert kind_of(pd.Series(["2024-01-01", "soon"])) == "text"
    for bad in ([[1]], [{"a": 1}], [1j]):
        with pytest.raises(InputError):
            kind_of(pd.Series(bad, name="c"))


def test_values_of_columns():
    assert as_text(pd.Series([1.0, None, 2.5])).tolist() == ["1", None, "2.5"]
    assert as_text(pd.Series([1, 2])).tolist() == ["1", "2"]
    assert as_numbers(pd.Series([True, False])).tolist() == [1.0, 0.0]
    assert as_numbers(pd.Series(pd.to_datetime(["1970-01-02 12:00"]))).tolist() == [1.5]
    assert as_numbers(pd.Series(pd.to_timedelta(["1h"]))).tolist() == [3600.0]
    gone = as_numbers(pd.Series([np.inf, np.nan, 3]))
    assert np.isnan(gone).tolist() == [True, True, False]
    far = pd.Series(["0001-01-01", "9999-12-31"])
    assert describe_column(far.rename("d")).kind == "date"
    assert describe_column(pd.Series(["1", "2", "x", None], name="m")).numeric_share == pytest.approx(2 / 3)
    assert describe_column(pd.Series([1.0, np.inf, np.nan], name="m")).infinite == 1


# ---- tasks and targets


TASKS = {
    "yes/no": (["no", "yes"] * 10, "binary", ("no", "yes")),
    "booleans": ([True, False] * 10, "binary", (False, True)),
    "0/1": ([0, 1] * 10, "binary", (0, 1)),
    "0.0/1.0": ([0.0, 1.0] * 10, "binary", (0, 1)),
    "-1/+1": ([1, -1] * 10, "binary", (-1, 1)),
    "words": (["b", "a", "c"] * 10, "multiclass", ("a", "b", "c")),
    "codes": ([2, 0, 1] * 10, "multiclass", (0, 1, 2)),
    "codes from 1": ([1, 2, 3, 4] * 10, "multiclass", (1, 2, 3, 4)),
    "few counts": ([0] * 40 + [1] * 20 + [2] * 8 + [3] * 2, "count", ()),
    "counts": (list(range(30)), "count", ()),
    "dollars": ([300, 950, 420, 1999] * 5, "regression", ()),
    "round sums": ([0, 100, 200, 500] * 5, "regression", ()),
    "signed": ([-3, 1, 4, 8] * 5, "regression", ()),
    "decimals": ([0.5, 1.0, 2.0] * 5, "regression", ()),
    "big": ([5, 2 * 10**6, 3 * 10**6, 4 * 10**6], "regression", ()),
    "categories": (pd.Categorical(["lo", "hi"] * 10, ["lo", "hi"]), "binary", ("hi", "lo")),
}


@pytest.mark.parametrize("case", TASKS)
def test_tasks_are_detected_with_a_reason(case):
    values, task, classes = TASKS[case]
    y = pd.Series(values, name="y")
    facts = analyse(pd.DataFrame({"a": np.arange(len(y)) % 3.0}), y)
    assert (facts.task, facts.classes) == (task, classes)
    assert "'y'" in facts.task_reason


def test_the_user_decides_the_task():
    X, y = pd.DataFrame({"a": np.arange(30.0) % 4}), series([0, 1, 2] * 10)
    for task in ("regression", "count", "multiclass", "ordinal"):
        facts = analyse(X, y, task)
        assert (facts.task, facts.task_reason) == (task, "asked for")
    grades = pd.Series(pd.Categorical(["low", "high"] * 15, ["low", "mid", "high"], ordered=True), name="y")
    assert analyse(X, grades, "ordinal").classes == ("low", "high")
    words = analyse(X, pd.Series(["low", "high"] * 15, name="y"), "ordinal")
    assert any("'high' < 'low'" in w for w in words.warnings)


REFUSED = {
    "unknown task": ("speed", [1, 2, 3], "unknown"),
    "binary of three": ("binary", [1, 2, 3], "multiclass"),
    "count of halves": ("count", [0.5, 1, 2], "regression"),
    "count below zero": ("count", [-1, 1, 2], "regression"),
    "numbers of words": ("regression", ["1", "two", "3"], "'two' in data row 2"),
    "names": ("auto", [f"n{i}" for i in range(40)], "too many"),
    "numbers as text": ("auto", [f"{i}.5" for i in range(39)] + ["oops"], "'oops' in data row 40"),
    "many classes": ("multiclass", list(range(200)), "too many"),
    "constant": ("auto", [1.0, 1.0], "constant"),
    "huge": ("auto", [1.0, 1e200, 2.0], "beyond 1e150.* in 1 of 3 rows, first in data row 2"),
    "infinite object": ("auto", pd.Series([1.0, float("-inf"), 2], dtype=object), "infinite"),
    "gap": ("auto", [1.0, None, 2.0], "data row 2"),
    "one row": ("auto", [1.0], "1 row"),
    "lists": ("auto", [[1], [2]], "list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_targets_that_do_not_fit_are_refused_in_one_line(case):
    task, values, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as caught:
        analyse(pd.DataFrame({"a": np.arange(len(values))}), pd.Series(values, name="y"), task)
    assert "\n" not in str(caught.value)


def test_numbers_kept_as_text_serve_when_asked():
    y = pd.Series([f"{i}.5" for i in range(40)], name="y")
    facts = analyse(pd.DataFrame({"a": np.arange(40) % 7}), y, "regression")
    assert encode_target(y, facts).tolist() == [i + 0.5 for i in range(40)]


def test_frames_that_do_not_fit_are_refused():
    y = series([1.0, 2.0, 3.0])
    twice = pd.DataFrame([[1, 2], [3, 4], [5, 6]], columns=["a", "a"])
    for bad in (pd.DataFrame({"a": [1, 2]}), twice, pd.DataFrame({0: [1, 2, 3]})):
        with pytest.raises(InputError):
            analyse(bad, y)


def test_targets_are_encoded_by_class_order_and_unknown_labels_refused():
    X, y = pd.DataFrame({"a": np.arange(6.0)}), pd.Series([3, 1, 2, 3, 1, 2], name="y")
    facts = analyse(X, y, "multiclass")
    assert facts.class_counts == (2, 2, 2)
    assert encode_target(y, facts).tolist() == [2, 0, 1, 2, 0, 1]
    assert encode_target(y.astype(float), facts).tolist() == [2, 0, 1, 2, 0, 1]
    assert encode_target(y, facts).dtype == np.int64
    with pytest.raises(InputError, match="'9' in data row 2"):
        encode_target(pd.Series([1, 9], name="y"), facts)
    numbers = analyse(X, pd.Series([0.5, 1, 2, 3, 4, 5], name="y"))
    assert encode_target(pd.Series([1, 2], name="y"), numbers).dtype == np.float64
    with pytest.raises(InputError, match="data row 1"):
        encode_target(pd.Series([None, 2.0], name="y"), numbers)


def test_imbalance_is_counted():
    y = series([0] * 95 + [1] * 5)
    facts = analyse(pd.DataFrame({"a": np.arange(100) % 7}), y)
    assert (facts.class_counts, facts.imbalance_ratio, facts.minority_share) == ((95, 5), 19.0, 0.05)
    assert any("imbalanced 19.0 to 1" in w for w in facts.warnings)
