"""``lossmith fit`` and ``lossmith compare``: what they print, what they leave, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lossmith as lm
from lossmith.cli.main import main

RNG = np.random.default_rng(8)
ROWS = 160


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flats with a size in two units, an age and a place; wild prices; a sold flag."""
    size, age = RNG.uniform(30, 150, ROWS), RNG.uniform(0, 100, ROWS)
    place = RNG.choice(["north", "south"], ROWS, p=[0.7, 0.3])
    price = 40.0 + 2.5 * size - 0.7 * age + 25.0 * (place == "south") + RNG.standard_t(2, ROWS)
    sold = np.where(price + RNG.normal(0, 60, ROWS) > 200, "yes", "no")
    lines = ["size,age,place,price,sold"]
    lines += [",".join(map(str, row)) for row in zip(size, age, place, price, sold, strict=True)]
    path = tmp_path_factory.mktemp("flats") / "flats.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_fit_finds_the_coefficients_in_their_own_units(table: Path, tmp_path: Path, capsys) -> None:
    code, out, err = run(capsys, "fit", table, "--target", "price", "--loss", "mae", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "duality gap" in out
    assert "converged after" in out
    record = json.loads((tmp_path / "out" / "fit.json").read_text())
    found = {row["name"]: row["unit"][0] for row in record["coefficients"]}
    assert found["size"] == pytest.approx(2.5, abs=0.02)
    assert found["age"] == pytest.approx(-0.7, abs=0.02)
    assert found["place=south"] == pytest.approx(25.0, abs=2.0)
    assert record["intercept"][0] == pytest.approx(40.0, abs=3.0)
    assert record["gap"] <= 1e-8
    for name in ("convergence.png", "convergence.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_the_model_predicts_what_its_coefficients_say(table: Path, tmp_path: Path, capsys) -> None:
    code, *_ = run(
        capsys, "fit", table, "--target", "price", "--loss", "huber", "--penalty", "l1", "-o", tmp_path / "m"
    )
    assert code == 0
    predicted = lm.predict(tmp_path / "m", table)["prediction"].to_numpy()
    record = json.loads((tmp_path / "m" / "fit.json").read_text())
    unit = {row["name"]: row["unit"][0] for row in record["coefficients"]}
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    wanted = [
        record["intercept"][0]
        + unit["size"] * float(size)
        + unit["age"] * float(age)
        + unit["place=south"] * (place == "south")
        + sum(unit.get(f"sold={word}", 0.0) * (sold == word) for word in ("yes", "no"))
        for size, age, place, _, sold in rows
    ]
    np.testing.assert_allclose(predicted, wanted, rtol=1e-9)


def test_classes_and_a_log_rate(table: Path, capsys) -> None:
    code, out, _ = run(capsys, "fit", table, "--target", "sold", "--solver", "lbfgs", "--penalty", "l2")
    assert code == 0
    assert "coefficients > 0 speak for 'yes'" in out
    code, out, _ = run(capsys, "fit", table, "--target", "sold", "--loss", "hinge")
    assert "log-loss has no meaning" in out
    code, out, _ = run(capsys, "fit", table, "--target", "price", "--loss", "poisson_nll")
    assert "logarithm of the rate" in out


def test_a_fit_that_was_cut_short_claims_nothing(table: Path, capsys) -> None:
    code, out, _ = run(capsys, "fit", table, "--target", "price", "--solver", "gd", "--max-iter", "2")
    assert code == 0
    assert "iteration limit after 2 steps" in out
    assert "this is the minimum" not in out
    code, out, _ = run(
        capsys, "fit", table, "--target", "price", "--loss", "mse", "--solver", "gd(search=constant(step=99))"
    )
    assert "diverged" in out
    assert "take a shorter step" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loss", "hubr"], "did you mean 'huber'?"),
        (["--loss", "bce"], "it is for classes, and 'price' holds numbers"),
        (["--loss", "triplet"], "cannot train"),
        (["--loss", "mae", "--solver", "newton"], "second derivatives that are 0 elsewhere"),
        (["--solver", "gd(search=armio)"], "did you mean 'armijo'?"),
        (["--solver", "gd("], "cannot read"),
        (["--penalty", "l3"], "'scad'"),
        (["--alpha", "1"], "has no meaning without a penalty"),
        (["--penalty", "l1", "--alpha", "-1"], "give a number >= 0"),
        (["--tolerance", "0"], "between 0 and 1"),
        (["--max-iter", "0"], "whole number >= 1"),
        (["--output", "."], "not empty"),
    ],
)
def test_fit_refuses_in_one_line(table: Path, capsys, monkeypatch, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(table.parent)
    code, out, err = run(capsys, "fit", table, "--target", "price", *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert words in err


def test_compare_draws_both_pictures(table: Path, tmp_path: Path, capsys) -> None:
    code, out, err = run(
        capsys,
        *("compare", table, "--target", "price", "-o", tmp_path),
        *("--loss", "mse", "--loss", "mae", "--solver", "gd", "--solver", "newton", "--max-iter", "400"),
    )
    assert (code, err) == (0, "")
    assert "newton with mae: not possible" in out
    record = json.loads((tmp_path / "compare.json").read_text())
    runs = {(run["loss"], run["solver"]): run for run in record["runs"]}
    assert set(runs) == {("mse", "gd"), ("mse", "newton"), ("mae", "gd")}
    newton = runs["mse", "newton"]
    assert newton["iterations"] <= 3 < runs["mse", "gd"]["iterations"]
    assert newton["share"][0] == 1.0
    assert newton["above"] <= 1e-10 <= runs["mae", "gd"]["above"]
    assert all(len(run["share"]) == len(run["clock"]) == run["iterations"] + 1 for run in runs.values())
    # A wild price pulls the squares: the absolute error does better on its own score, on rows that neither saw.
    assert runs["mae", "gd"]["scores"]["mae"] < 1.5 * newton["scores"]["mae"]
    for name in ("losses.png", "losses.svg", "solvers.png", "solvers.svg"):
        assert (tmp_path / name).stat().st_size > 1000
    assert "Convergence with different losses" in (tmp_path / "losses.svg").read_text()


@pytest.mark.parametrize("width", ["72", "80", "120"])
def test_compare_of_classes_by_default(table: Path, tmp_path: Path, capsys, monkeypatch, width: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", width)
    code, out, _ = run(capsys, "compare", table, "--target", "sold", "--max-iter", "50")
    assert code == 0
    assert "squared_hinge" in out
    assert "accuracy" in out
    assert ("passes" in out) == (width == "120")
    assert (tmp_path / "runs" / "flats-compare" / "compare.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loss", "mae", "--solver", "newton"], "nothing to compare: newton with mae needs a loss without kinks"),
        ([part for n in range(7) for part in ("--solver", f"adam(step=0.{n + 1})")], "pictures hold 6"),
        (["--loss", "cce"], "it is for classes"),
        (["--max-seconds", "nan"], "--max-seconds nan is not accepted; give a number > 0"),
        (["--max-seconds", "0"], "give a number > 0"),
    ],
)
def test_compare_refuses_in_one_line(table: Path, tmp_path: Path, capsys, arguments: list[str], words: str) -> None:
    code, out, err = run(capsys, "compare", table, "--target", "price", "-o", tmp_path / "x", *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert words in err
