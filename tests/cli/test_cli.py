"""The command line as a user meets it: in a process of its own, with pipes, narrow windows and mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ESCAPE = "\x1b"


def lossmith(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lossmith.cli", *arguments],
        cwd=cwd,
        env={**_environment(), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}
    source = str(Path(__file__).resolve().parents[2] / "src")
    return {**kept, "PYTHONPATH": source, "PYTHONIOENCODING": "utf-8"}


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr that holds the words, exit code 2, no traceback, nothing on stdout."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("lossmith: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from lossmith.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'pandas', 'sklearn', 'matplotlib', 'lightgbm', 'numba', 'scipy', 'jinja2', 'pyarrow', 'joblib'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert result.stderr == ""
    for command in ("run", "predict", "list", "show", "plot"):
        assert command in result.stdout


def test_a_heavy_import_would_be_noticed() -> None:
    code = "import sys, matplotlib.figure\nprint({'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["plot", "-h"], []])
def test_help_ends_well(arguments: list[str]) -> None:
    result = lossmith(*arguments)
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert ESCAPE not in result.stdout


def test_version() -> None:
    import lossmith as lm

    result = lossmith("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"lossmith {lm.__version__}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], ["frob"]),
        (["--frob"], ["--frob"]),
        (["run"], ["lossmith run --help"]),
        (["run", "x.csv"], ["--target"]),
        (["run", "x.csv", "--target", "y", "--seed", "many"], ["--seed"]),
        (["show"], ["lossmith show --help"]),
        (["show", "hubert"], ["no loss is called 'hubert'", "huber"]),
        (["show", "huber(delta=-1)"], ["delta", "> 0"]),
        (["show", "huber(delta="], ["cannot read"]),
        (["show", "huber(gamma=1)"], ["no parameter 'gamma'"]),
        (["list", "--task", "cooking"], ["cooking", "regression"]),
        (["list", "xyzzy"], ["xyzzy"]),
        (["plot", "mse", "hinge"], ["two pictures"]),
        (["plot", "ctc"], ["no single axis"]),
        (["plot", "mse", "--output", "a.gif"], [".png or .svg"]),
        (["plot", "mse", "--output", "no/such/a.png"], ["does not exist"]),
        (["plot", "mse", "--y", "much"], ["--y"]),
        (["run", "missing.csv", "--target", "y"], ["missing.csv"]),
        (["predict", "nowhere", "new.csv"], ["nowhere"]),
        (["predict", "nowhere", "new.csv", "--output", "p.xls"], [".csv"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    refused(lossmith(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,2\n3,4\n")
    result = lossmith("run", "d.csv", "--target", "c", cwd=tmp_path)
    assert result.returncode == 2
    assert "'c'" in result.stderr
    assert "Traceback" not in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.csv"]


@pytest.mark.parametrize("columns", ["30", "60", "200"])
def test_lists_fit_any_width_without_colour(columns: str) -> None:
    result = lossmith("list", COLUMNS=columns)
    assert result.returncode == 0
    assert ESCAPE not in result.stdout
    for name in ("huber", "bce", "ctc"):
        assert name in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= max(int(columns), 45)


def test_list_by_task_and_text() -> None:
    counts = lossmith("list", "--task", "count").stdout
    assert "poisson_nll" in counts
    assert "huber" not in counts
    assert "tukey" in lossmith("list", "outliers", "influence").stdout


def test_show_tells_all_about_every_loss() -> None:
    import lossmith as lm

    result = lossmith("show", "huber(delta=1.35)")
    assert result.returncode == 0
    for word in ("δ", "1.35", r"\tfrac12", "Gradient", "Best for", "Pros", "Cons", "convex", "Huber (1964)"):
        assert word in result.stdout
    assert ESCAPE not in result.stdout

    from typer.testing import CliRunner

    from lossmith.cli.main import app

    for loss in lm.find():
        shown = CliRunner().invoke(app, ["show", loss.name])
        assert shown.exit_code == 0, (loss.name, shown.output)
        assert loss.about.reference.split(",")[0].split("(")[0] in shown.output


def test_show_marks_negative_answers_too() -> None:
    assert "not convex" in lossmith("show", "tukey").stdout
    assert "not convex" not in lossmith("show", "mse").stdout


def test_plot_writes_a_picture_and_says_where(tmp_path: Path) -> None:
    result = lossmith("plot", "mse", "quantile(q=0.9)", "--output", "p.svg", "--y", "2", cwd=tmp_path)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "p.svg", "")
    assert "Quantile(q=0.9)" in "".join(ET.parse(tmp_path / "p.svg").getroot().itertext())
    assert lossmith("plot", "mse", cwd=tmp_path).stdout.strip() == "mse.png"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mse.png", "p.svg"]


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m lossmith.cli list | head -n 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command], env=_environment(), capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert result.stderr == ""
    assert result.stdout.startswith("Task")
