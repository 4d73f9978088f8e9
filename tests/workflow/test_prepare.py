"""Matrices are the same for the same rows, whenever and from whatever file they come."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.core.errors import InputError
from lossmith.select.facts import analyse
from lossmith.workflow.prepare import Preparation

N = 400


def table(seed=0):
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(N) < 0.2, np.nan, 1.0)
    return pd.DataFrame(
        {
            "size": rng.normal(50, 10, N),
            "gappy": rng.normal(size=N) * gaps,
            "flag": rng.random(N) < 0.3,
            "colour": rng.choice(["red", "green", "blue"], N, p=[0.5, 0.3, 0.2]),
            "city": rng.choice([f"c{i}" for i in range(200)], N),
            "word": pd.Series(rng.choice(["a", "b"], N)).where(rng.random(N) > 0.1, None),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, N), unit="D"),
            "id": [f"u{i}" for i in rng.permutation(N)],
            "same": 7,
        }
    )


@pytest.fixture(scope="module")
def X():
    return table()


@pytest.fixture(scope="module")
def fitted(X):
    return fit(X)


def fit(X):
    y = pd.Series(np.arange(len(X)) % 17 + 0.5, name="y")
    return Preparation.fit(X, analyse(X, y))


def both(preparation, X):
    return np.hstack([preparation.linear(X), preparation.trees(X)])


# ---- what the matrices are


def test_shapes_names_and_types(X, fitted):
    for matrix, names in ((fitted.linear(X), fitted.linear_names), (fitted.trees(X), fitted.tree_names)):
        assert matrix.shape == (N, len(names))
        assert matrix.dtype == np.float64
        assert len(set(names)) == len(names)
    assert np.isfinite(fitted.linear(X)).all()
    assert [fitted.tree_names[at] for at in fitted.tree_categories] == ["colour", "city", "word"]
    assert fitted.columns == ("size", "gappy", "flag", "colour", "city", "word", "day")


def test_numbers_are_standardised_for_linear_models_and_raw_for_trees(X, fitted):
    linear = pd.DataFrame(fitted.linear(X), columns=fitted.linear_names)
    for name in ("size", "gappy", "flag"):
        assert linear[name].mean() == pytest.approx(0, abs=1e-12)
        assert linear[name].std(ddof=0) == pytest.approx(1)
    trees = pd.DataFrame(fitted.trees(X), columns=fitted.tree_names)
    assert trees["size"].equals(X["size"])
    assert trees["gappy"].equals(X["gappy"])
    assert trees["flag"].tolist() == X["flag"].astype(float).tolist()


def test_gaps_take_the_median_and_are_marked(X, fitted):
    linear = pd.DataFrame(fitted.linear(X), columns=fitted.linear_names)
    gaps = X["gappy"].isna()
    assert linear["gappy missing"].tolist() == gaps.astype(float).tolist()
    whole = X["gappy"].fillna(X["gappy"].median())
    assert np.allclose(linear["gappy"], (whole - whole.mean()) / whole.std(ddof=0))
    assert linear["word missing"].tolist() == X["word"].isna().astype(float).tolist()


def test_text_becomes_indicators_beside_its_most_frequent_level(X, fitted):
    linear = pd.DataFrame(fitted.linear(X), columns=fitted.linear_names)
    assert "colour=red" not in linear
    for level in ("green", "blue"):
        assert linear[f"colour={level}"].tolist() == (X["colour"] == level).astype(float).tolist()
    codes = pd.Series(fitted.trees(X)[:, fitted.tree_names.index("colour")])
    assert codes.tolist() == X["colour"].map({"red": 0, "green": 1, "blue": 2}).tolist()


def test_rare_levels_are_pooled(X, fitted):
    linear = pd.DataFrame(fitted.linear(X), columns=fitted.linear_names)
    counts = X["city"].value_counts()
    own = [name.removeprefix("city=") for name in linear if name.startswith("city=")]
    assert own
    assert all(counts[level] >= 5 for level in own)
    assert len(own) < 50
    marked = linear[[f"city={level}" for level in own]].sum(axis=1)
    assert set(marked + linear["city rare"]) <= {0.0, 1.0}
    rare = X["city"].map(counts) < 5
    assert linear.loc[rare, "city rare"].all()
    assert not linear.loc[~rare, "city rare"].any()


def test_ten_thousand_levels_stay_narrow():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"code": [f"k{i}" for i in rng.zipf(1.3, 10_000) % 10_000], "x": rng.normal(size=10_000)})
    preparation = fit(X)
    assert preparation.linear(X).shape[1] <= 52
    assert preparation.trees(X)[:, 0].max() == 254
    assert len(json.dumps(preparation.to_config())) < 10_000
    assert any("levels" in note for note in preparation.notes)


def test_dates_become_days_and_cycles(X, fitted):
    trees = pd.DataFrame(fitted.trees(X), columns=fitted.tree_names)
    assert trees["day days"].tolist() == [(d - pd.Timestamp("1970-01-01")).days for d in X["day"]]
    assert trees["day month"].tolist() == X["day"].dt.month.tolist()
    assert trees["day weekday"].tolist() == X["day"].dt.day_of_week.tolist()
    assert "day hour" not in trees, "all at midnight"
    linear = pd.DataFrame(fitted.linear(X), columns=fitted.linear_names)
    assert np.allclose(linear["day month sin"] ** 2 + linear["day month cos"] ** 2, 1)


def test_columns_that_are_left_out_are_noted_and_not_needed(X, fitted):
    notes = " ".join(fitted.notes)
    assert "'id' is left out: it identifies" in notes
    assert "'same' is left out: it is constant" in notes
    strange = pd.DataFrame({"a": range(9), "huge": [1e300 * i for i in range(1, 10)], "void": [None] * 9})
    strange["a"] = strange["a"] ** 2 / 7
    assert fit(strange).notes == (
        "column 'huge' is left out: it holds no number below 1e+150 in size",
        "column 'void' is left out: it is empty",
    )
    assert np.array_equal(both(fitted, X.drop(columns=["id", "same"])), both(fitted, X), equal_nan=True)


def test_the_last_columns_are_not_taken_away():
    years = pd.DataFrame({"year": np.arange(1950, 2010), "same": 1})
    assert fit(years).columns == ("year",)
    with pytest.raises(InputError, match="no feature of 2 can be used"):
        fit(pd.DataFrame({"id": [f"u{i}" for i in range(60)], "same": 1}))


# ---- laws


def test_a_round_trip_through_json_gives_identical_matrices(X, fitted):
    again = Preparation.from_config(json.loads(json.dumps(fitted.to_config(), allow_nan=False)))
    assert again == fitted
    assert np.array_equal(both(again, X), both(fitted, X), equal_nan=True)


def test_rows_are_independent_of_each_other(X, fitted):
    whole = both(fitted, X)
    assert np.array_equal(both(fitted, X.iloc[[7]]), whole[[7]], equal_nan=True)
    order = np.random.default_rng(0).permutation(N)
    assert np.array_equal(both(fitted, X.iloc[order]), whole[order], equal_nan=True)


def test_column_order_and_further_columns_do_not_matter(X, fitted):
    assert np.array_equal(both(fitted, X[X.columns[::-1]].assign(new=1)), both(fitted, X), equal_nan=True)


@pytest.mark.parametrize("write", ["csv", "parquet", "json"])
def test_the_file_format_does_not_matter(X, write):
    """A level 1 stays the level "1", whatever type a reader gives it."""
    X = X.assign(code=pd.Series(np.arange(N) % 3).astype(str), day=X["day"].dt.strftime("%Y-%m-%d"))
    preparation, buffer = fit(X), io.BytesIO()
    if write == "csv":
        again = pd.read_csv(io.StringIO(X.to_csv(index=False)))
        assert again["code"].dtype.kind == "i"
    elif write == "json":
        again = pd.DataFrame(json.loads(X.to_json(orient="records", double_precision=15)))
    else:
        X.to_parquet(buffer)
        again = pd.read_parquet(buffer)
    assert np.allclose(both(preparation, again), both(preparation, X), rtol=1e-12, equal_nan=True)


def test_text_levels_of_whole_numbers_survive_gaps():
    X = pd.DataFrame({"code": pd.Categorical([1, 2, 3] * 20), "x": np.arange(60) % 7})
    preparation = fit(X)
    with_gap = pd.DataFrame({"code": [2.0, np.nan], "x": [1, 1]})
    assert preparation.trees(with_gap)[0, 0] == preparation.trees(X)[1, 0]
    assert np.isnan(preparation.trees(with_gap)[1, 0])


def test_fitting_does_not_depend_on_row_order(X):
    order = np.random.default_rng(1).permutation(N)
    one, other = fit(X), fit(X.iloc[order])
    assert one.linear_names == other.linear_names
    assert np.allclose(both(one, X), both(other, X), equal_nan=True)


def test_nothing_is_changed_in_place(X, fitted):
    before = X.copy()
    both(fitted, X)
    pd.testing.assert_frame_equal(X, before)


VALUE = st.one_of(
    st.none(), st.integers(-3, 3), st.floats(), st.sampled_from(["a", "b", "é", "2024-01-01", ""]), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUE, st.floats(), st.sampled_from("abc")), min_size=3, max_size=12))
def test_any_column_gives_finite_linear_matrices_and_survives_a_round_trip(rows):
    X = pd.DataFrame(rows, columns=["mixed", "number", "word"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = pd.Series(np.arange(len(X)) + 0.5, name="y")
        facts = analyse(X, y)
        if all(column.constant for column in facts.columns):
            return
        preparation = Preparation.fit(X, facts)
        assert np.isfinite(preparation.linear(X)).all()
        again = Preparation.from_config(json.loads(json.dumps(preparation.to_config(), allow_nan=False)))
        assert np.array_equal(both(again, X), both(preparation, X), equal_nan=True)


# ---- new data


def test_unseen_levels_count_as_rare_or_as_the_reference(X, fitted):
    new = X.iloc[:1].assign(colour="violet", city="nowhere")
    linear = pd.DataFrame(fitted.linear(new), columns=fitted.linear_names)
    assert linear["city rare"].item() == 1
    assert linear[["colour=green", "colour=blue"]].to_numpy().sum() == 0
    trees = pd.DataFrame(fitted.trees(new), columns=fitted.tree_names)
    assert trees["colour"].item() == 3


def test_gaps_that_training_never_saw_are_filled(X, fitted):
    new = X.iloc[:2].assign(size=[np.nan, 50.0], colour=None, flag=None, day=pd.NaT)
    linear = fitted.linear(new)
    assert np.isfinite(linear).all()
    assert linear[0, 0] == pytest.approx((X["size"].median() - X["size"].mean()) / X["size"].std(ddof=0))
    assert np.isnan(fitted.trees(new)[0, [0, 2, 3]]).all()


@pytest.mark.parametrize("values", [[1e150, -1e150, 9e149], [5e-324, 0.0, 1e-323], [1e150, 0.0, 5e-324]])
def test_huge_and_tiny_numbers_do_not_overflow(values):
    X = pd.DataFrame({"a": values * 4})
    preparation = fit(X)
    for probe in (X, pd.DataFrame({"a": [1.0, -1.7e308, 1.7e308]})):
        assert np.isfinite(preparation.linear(probe)).all()
    assert preparation.linear(X).std() == pytest.approx(1, rel=0.5)


def test_infinities_are_gaps(X, fitted):
    new = X.iloc[:1].assign(size=np.inf)
    assert np.array_equal(both(fitted, new), both(fitted, new.assign(size=np.nan)), equal_nan=True)


REFUSED = {
    "no column": (lambda X: X.drop(columns="size"), ["'size'", "add it"]),
    "renamed": (lambda X: X.rename(columns={"colour": "Colour"}), ["'colour'", "is it 'Colour'"]),
    "two gone": (lambda X: X.drop(columns=["size", "city"]), ["'size' and 1 more"]),
    "text in numbers": (
        lambda X: X.assign(size=X["size"].astype(object).where(X.index != 3, "big")),
        ["'size'", "'big' in data row 4"],
    ),
    "text in dates": (
        lambda X: X.assign(day=X["day"].astype(str).where(X.index != 2, "soon")),
        ["'day'", "'soon' in data row 3", "dates"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_new_data_that_do_not_fit_are_refused_in_one_line(X, fitted, case):
    change, words = REFUSED[case]
    for encode in (fitted.linear, fitted.trees):
        with pytest.raises(InputError) as caught:
            encode(change(X))
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for word in words:
            assert word in message


@pytest.mark.parametrize("damage", [{"kind": "pickle"}, {"kind": "number", "name": "a"}, {"name": "a"}])
def test_a_damaged_config_is_refused(damage):
    with pytest.raises(InputError, match="damaged"):
        Preparation.from_config({"encoders": [damage], "notes": []})


def test_odd_names_and_levels_pass_through():
    odd = ["<script>", 'quo"te', "a=b", "new\nline", ""]
    X = pd.DataFrame({"<b>": odd * 12, 'x"y': np.arange(60.0) % 7})
    preparation = fit(X)
    again = Preparation.from_config(json.loads(json.dumps(preparation.to_config())))
    assert np.array_equal(both(again, X), both(preparation, X))
    assert preparation.columns == ("<b>", 'x"y')
