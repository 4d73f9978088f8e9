"""The analysis finds what was planted, is silent on clean data, and does not depend on order or units."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lossmith.core.errors import InputError
from lossmith.select.facts import analyse

N = 1200


def features(rng, n=N):
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x0", "x1", "x2", "x3"])
    X["colour"] = rng.choice(["red", "green", "blue"], n)
    return X


def signal(X):
    return X["x0"] + 0.5 * X["x1"] * X["x2"] + (X["colour"] == "red")


def series(values, name="y"):
    return pd.Series(np.asarray(values), name=name)


def targets(seed=0):
    """A target of each task over the same features."""
    rng = np.random.default_rng(seed)
    X = features(rng)
    f = signal(X)
    return X, {
        "regression": series(f + rng.normal(size=N)),
        "count": series(rng.poisson(np.exp(0.5 + 0.4 * f))),
        "binary": series((f + rng.logistic(size=N) > 0).astype(int)),
        "multiclass": series(np.array(["a", "b", "c"])[np.digitize(f + 0.5 * rng.normal(size=N), [-0.5, 0.8])]),
    }


@pytest.fixture(scope="module")
def data():
    return targets()


@pytest.fixture(scope="module")
def clean(data):
    X, ys = data
    return {task: analyse(X, y) for task, y in ys.items()}


def fewer(facts, **fields):
    return dataclasses.replace(facts, **fields)


# ---- laws


@pytest.mark.parametrize("task", ["regression", "count", "binary", "multiclass"])
class TestLaws:
    def test_the_task_is_recognised(self, clean, task):
        assert clean[task].task == task

    def test_clean_data_raise_no_suspicion(self, clean, task):
        facts = clean[task]
        assert facts.leaks == ()
        assert facts.constant_columns == facts.identifying_columns == ()
        assert not [w for w in facts.warnings if "dispute" in w]
        for outliers in (facts.target_outliers, facts.residual_outliers):
            assert outliers is None or outliers.share < 0.002

    def test_the_same_seed_gives_the_same_facts(self, data, clean, task):
        assert analyse(data[0], data[1][task]) == clean[task]

    def test_the_seed_is_used(self, data, clean, task):
        assert analyse(data[0], data[1][task], seed=1) != clean[task]

    def test_row_order_does_not_matter(self, data, clean, task):
        X, y = data[0], data[1][task]
        order = np.random.default_rng(3).permutation(N)
        shuffled = analyse(X.iloc[order], y.iloc[order])
        expected = clean[task]
        for field in ("target_outliers", "residual_outliers", "label_noise"):
            before, after = getattr(expected, field), getattr(shuffled, field)
            if before is not None:
                assert set(order[list(after.rows)]) == set(before.rows)
                shuffled = fewer(shuffled, **{field: dataclasses.replace(after, rows=before.rows)})
        assert _rounded(fewer(shuffled, warnings=())) == _rounded(fewer(expected, warnings=()))

    def test_column_order_does_not_matter(self, data, clean, task):
        X = data[0]
        turned = analyse(X[X.columns[::-1]], data[1][task])
        assert turned.columns == clean[task].columns[::-1]
        assert fewer(turned, columns=()) == fewer(clean[task], columns=())

    def test_the_index_of_the_frame_does_not_matter(self, data, clean, task):
        X, y = data[0].set_axis(range(N, 0, -1)), data[1][task].set_axis(range(N, 0, -1))
        assert analyse(X, y) == clean[task]

    def test_facts_are_plain_json(self, clean, task):
        assert json.loads(json.dumps(dataclasses.asdict(clean[task]), allow_nan=False))["task"] == task

    def test_nothing_is_changed_in_place(self, data, task):
        X, y = data[0].copy(), data[1][task].copy()
        analyse(X, y)
        pd.testing.assert_frame_equal(X, data[0])
        pd.testing.assert_series_equal(y, data[1][task])


def _rounded(facts):
    """Sums over rows in another order may differ in the last bits."""

    def coarse(value):
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, dict):
            return {k: coarse(v) for k, v in value.items()}
        return [coarse(v) for v in value] if isinstance(value, list | tuple) else value

    return coarse(dataclasses.asdict(facts))


UNITLESS = ("skew", "excess_kurtosis", "medcouple", "tail_weight", "left_tail_weight", "right_tail_weight")


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0.0), (1e-3, 0.0), (2.0, 64.0), (1e140, 0.0), (1e-180, 0.0)])
def test_units_of_the_target_do_not_matter(data, clean, scale, shift):
    moved = analyse(data[0], data[1]["regression"] * scale + shift)
    before = clean["regression"]
    for name in UNITLESS:
        assert getattr(moved.shape, name) == pytest.approx(getattr(before.shape, name), rel=1e-6, abs=1e-9)
    for name in ("r2", "medcouple", "tail_weight", "hill_index"):
        assert getattr(moved.residuals, name) == pytest.approx(getattr(before.residuals, name), rel=0.02, abs=0.01)
    assert moved.shape.std == pytest.approx(before.shape.std * scale, rel=1e-9)
    assert moved.residuals.scale == pytest.approx(before.residuals.scale * scale, rel=0.02)
    assert moved.target_outliers == before.target_outliers
    assert moved.leaks == before.leaks


def test_the_variance_power_does_not_depend_on_the_unit():
    X, ys = targets()
    y = np.exp(signal(X) + 0.3 * ys["regression"])
    one, other = (analyse(X, series(y * unit)).residuals for unit in (1.0, 1024.0))
    assert one.variance_power == pytest.approx(other.variance_power, rel=1e-6)


# ---- planted troubles


@pytest.mark.parametrize("task", ["regression", "count"])
def test_planted_outliers_are_found_and_only_they(data, task):
    y = data[1][task].copy()
    rows = [5, 77, 900]
    y.iloc[rows] = y.max() * np.array([40, 50, 60])
    facts = analyse(data[0], y)
    assert facts.target_outliers.rows[:3] == (900, 77, 5)
    assert set(rows) <= set(facts.residual_outliers.rows)
    assert facts.residual_outliers.count <= 6
    assert any("data rows 901, 78, 6" in w for w in facts.warnings)


def test_outliers_that_only_the_features_betray():
    rng = np.random.default_rng(0)
    X = features(rng)
    y = 20 * X["x0"] + rng.normal(size=N)
    rows = np.argsort(np.abs(X["x0"]).to_numpy())[:3]
    y.iloc[rows] += 40.0  # within the range of y, far from what x0 says
    facts = analyse(X, series(y))
    assert facts.target_outliers.count == 0
    assert set(rows) <= set(facts.residual_outliers.rows)


def test_a_log_normal_target_has_a_tail_and_no_outliers():
    rng = np.random.default_rng(0)
    facts = analyse(features(rng), series(np.exp(1.5 * rng.normal(size=N))))
    assert facts.target_outliers.count == 0
    assert "logarithm" in facts.target_outliers.rule
    assert facts.shape.right_tail_weight > 2


@pytest.mark.parametrize("share", [0.08, 0.2])
def test_planted_label_noise_is_found_and_measured(share):
    rng = np.random.default_rng(0)
    X = features(rng, 3000)
    truth = (X["x0"] + X["x1"] > 0).astype(int)
    flipped = rng.random(3000) < share
    facts = analyse(X, series(np.where(flipped, 1 - truth, truth)))
    assert facts.label_noise_floor == pytest.approx(share, abs=0.04)
    assert np.mean(flipped[list(facts.label_noise.rows)]) > 0.9
    assert any("dispute" in w for w in facts.warnings)


@pytest.mark.parametrize("sharpness", [1.0, 4.0, np.inf])
def test_overlapping_classes_are_no_label_noise(sharpness):
    rng = np.random.default_rng(0)
    X = features(rng, 3000)
    noise = rng.logistic(size=3000) / sharpness
    facts = analyse(X, series((X["x0"] + X["x1"] + noise > 0.5).astype(int)))
    assert not any("dispute" in w for w in facts.warnings)


def leak_columns(y, rng):
    """Columns that know the target: rescaled, reversed, as words, as a gap, one level each."""
    numeric = pd.to_numeric(y, errors="coerce").notna().all()
    rank = y.rank().to_numpy() if numeric else y.astype("category").cat.codes.to_numpy().astype(float)
    yield "rescaled", 3.0 * rank + 0.001 * rng.normal(size=N)
    yield "reversed", -(rank**3)
    if y.nunique() < 50:
        yield "words", np.array([f"w{v}" for v in rank])
    if y.nunique() == 2:
        yield "gap", np.where(rank > rank.min(), np.nan, rng.normal(size=N))


@pytest.mark.parametrize("task", ["regression", "count", "binary", "multiclass"])
def test_planted_leaks_are_found_by_name(data, task):
    X, y = data[0], data[1][task]
    for name, column in leak_columns(y, np.random.default_rng(0)):
        facts = analyse(X.assign(**{name: column}), y)
        assert [leak.column for leak in facts.leaks] == [name]
        assert f"{name!r} alone predicts" in facts.warnings[0]


def test_a_leak_of_a_rare_class_is_found():
    rng = np.random.default_rng(0)
    X = features(rng, 4000)
    y = (rng.random(4000) < 0.01).astype(int)
    X["score"] = rng.normal(size=4000) + 20 * y
    assert [leak.column for leak in analyse(X, series(y)).leaks] == ["score"]


def test_a_good_column_is_no_leak():
    rng = np.random.default_rng(0)
    X = features(rng)
    assert analyse(X, series(X["x0"] + 0.25 * rng.normal(size=N))).leaks == ()


# ---- columns


def test_constant_identifying_and_wide_columns_are_named(data):
    rng = np.random.default_rng(0)
    X = data[0].assign(
        same=1.0,
        word="x",
        none=np.nan,
        text_id=[f"u{i * 7919 % 100003}" for i in range(N)],
        row=np.arange(N),
        shuffled=rng.permutation(N) + 500,
        rising=np.cumsum(rng.integers(1, 99, N)),
        customer_id=rng.choice(10**9, N, replace=False),
        city=rng.choice([f"c{i}" for i in range(80)], N),
        amount=rng.choice(10**9, N, replace=False),
        price=rng.permutation(np.linspace(0, 1, N)),
        half=np.where(rng.random(N) < 0.5, 1.0, np.nan),
    )
    facts = analyse(X, data[1]["regression"])
    assert facts.constant_columns == ("same", "word", "none")
    assert facts.identifying_columns == ("text_id", "row", "shuffled", "rising", "customer_id")
    assert facts.high_cardinality_columns == ("city",)
    assert facts.missing_share == pytest.approx((N + X["half"].isna().sum()) / X.size)
    assert facts.rows_with_missing == N


def test_ten_thousand_categories_do_no_harm():
    rng = np.random.default_rng(0)
    n = 10_000
    X = features(rng, n).assign(code=[f"k{i}" for i in rng.integers(0, 10_000, n)])
    y = series(signal(X) + rng.normal(size=n))
    facts = analyse(X, y)
    assert facts.high_cardinality_columns == ("code",)
    assert facts.leaks == ()
    assert facts.residuals.r2 > 0.4


def test_a_text_of_many_levels_that_knows_the_target_is_a_leak():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 300, 3000)
    value = rng.normal(size=300)
    X = features(rng, 3000).assign(shop=[f"s{i}" for i in level])
    assert [leak.column for leak in analyse(X, series(value[level])).leaks] == ["shop"]


# ---- what could not run says so


def test_checks_that_cannot_run_say_why():
    small = analyse(pd.DataFrame({"a": np.arange(20) % 7}), series(np.arange(20) / 7))
    assert {c.name for c in small.checks if not c.ran} == {"residuals", "leaks"}
    assert all("20 rows are too few" in c.note for c in small.checks if not c.ran)
    assert small.residuals is None

    nothing = analyse(pd.DataFrame({"a": np.ones(100)}), series(np.arange(100) / 7))
    assert all("no column" in c.note for c in nothing.checks if not c.ran)

    rare = analyse(pd.DataFrame({"a": np.arange(100) % 7}), series([0] * 95 + [1] * 5))
    assert next(c for c in rare.checks if c.name == "label noise").note.startswith("needs 2")
    assert rare.label_noise is rare.label_noise_floor is None

    zeros = analyse(pd.DataFrame({"a": np.arange(100) % 7}), series([0.0] * 80 + list(np.linspace(0.1, 9, 20))))
    assert zeros.target_outliers is None
    assert not next(c for c in zeros.checks if c.name == "target outliers").ran
    assert zeros.shape.tail_weight is None


def test_a_sample_is_said_to_be_one():
    rng = np.random.default_rng(0)
    X = features(rng, 6000)
    facts = analyse(X, series(signal(X) + rng.normal(size=6000)))
    assert "learnt from 5000 and looked at 6000" in next(c for c in facts.checks if c.name == "leaks").note


CELL = st.one_of(
    st.none(), st.integers(-5, 5), st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=3), st.booleans()
)


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.tuples(CELL, st.floats(), st.sampled_from("ab")), min_size=2, max_size=8), st.integers(1, 12))
def test_any_cells_give_facts_or_one_clear_line(rows, times):
    frame = pd.DataFrame(rows * times, columns=["mixed", "number", "word"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for target in frame:
            outcome = _facts_or_refusal(frame, target)
            if isinstance(outcome, str):
                assert len(outcome.splitlines()) == 1
            else:
                json.dumps(dataclasses.asdict(outcome), allow_nan=False)


def _facts_or_refusal(frame, target):
    try:
        return analyse(frame.drop(columns=target), frame[target])
    except InputError as error:
        return str(error)


def test_the_shipped_data_are_what_they_are_said_to_be():
    folder = Path(__file__).parents[2] / "examples" / "data"
    expected = {"diamonds": ("price", "regression"), "bikes": ("bikers", "count")}
    expected |= {"credit": ("creditability", "binary"), "abalone": ("sex", "multiclass")}
    found = {}
    for name, (target, task) in expected.items():
        frame = pd.read_csv(folder / f"{name}.csv")
        found[name] = analyse(frame.drop(columns=target), frame[target])
        assert found[name].task == task
        assert found[name].leaks == ()
    assert found["diamonds"].residuals.variance_power == pytest.approx(1.8, abs=0.4)
    assert found["bikes"].residuals.conditional_dispersion > 3
    assert found["credit"].class_counts == (300, 700)
    assert not any("dispute" in w for name in ("credit", "abalone") for w in found[name].warnings)
