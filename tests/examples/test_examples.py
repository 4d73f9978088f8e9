"""Every script of examples/ runs, offline and without warnings of ours, and what it prints bears out what it says."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

import lossmith as lm

FOLDER = pathlib.Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
# What a package needs at run time although the script does not import it.
ALSO = {"keras": (os.environ.get("KERAS_BACKEND", "tensorflow"),), "transformers": ("torch", "accelerate")}
SECONDS = 300  # a hang, not a pace: a script takes about 15 on a free core
OFFLINE = """
import socket

def refuse(*_, **__):
    raise OSError("examples run offline")

socket.getaddrinfo = refuse
"""
# "label: 0.97 +- 0.01" or "label  0.97 -> 0.98"; units and words may follow, and a label may hold numbers.
LINE = re.compile(
    r"^(?=.*[A-Za-z])(?P<label>.+(?=:)|[^:]*?[^\s:]):?\s+"
    r"(?P<first>-?\d+\.?\d*)(?: (?P<sign>\+-|->) (?P<second>-?\d+\.?\d*))?"
)

Results = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Claim:
    """What must hold, and a pair of results that, exchanged, must break it."""

    holds: Callable[[Results], bool]
    exchanged: tuple[str, str]


CLAIMS = {
    "digits_embedding": [
        Claim(
            lambda r: r["mAP, seen digits, triplet"] > r["mAP, seen digits, pixels"] + 0.15,
            ("mAP, seen digits, triplet", "mAP, seen digits, pixels"),
        ),
        Claim(
            lambda r: r["recall@1, seen digits, triplet"] > 0.95,
            ("recall@1, seen digits, triplet", "mAP, new digits, triplet"),
        ),
    ],
    "segmentation_dice": [
        Claim(lambda r: r["Dice, both"] > r["Dice, brightness"] + 0.15, ("Dice, both", "Dice, brightness")),
        Claim(lambda r: r["IoU, dice"] > r["IoU, brightness"] + 0.15, ("IoU, dice", "IoU, brightness")),
        Claim(
            lambda r: r["log-loss, cross-entropy"] < 0.7 * r["log-loss, dice"],
            ("log-loss, cross-entropy", "log-loss, dice"),
        ),
    ],
    "ctc_digits": [Claim(lambda r: r["CER, ctc"] < 0.75 * r["CER, cut"], ("CER, ctc", "CER, cut"))],
    "imbalanced": [
        Claim(
            lambda r: r["F1 at the threshold, log-loss"] > 0.7 and r["log-loss, log-loss"] < 0.05,
            ("F1 at the threshold, log-loss", "log-loss, log-loss"),
        ),
        Claim(
            lambda r: (
                abs(r["mean chance / base rate, log-loss"] - 1) < abs(r["mean chance / base rate, focal 0.75"] - 1)
            ),
            ("mean chance / base rate, log-loss", "mean chance / base rate, focal 0.75"),
        ),
    ],
    "keras_by_name": [
        Claim(
            lambda r: (
                r["points off on held-out patients, lossmith>huber"]
                < 0.8 * r["points off on held-out patients, squared error"]
            ),
            ("points off on held-out patients, lossmith>huber", "points off on held-out patients, squared error"),
        ),
    ],
    "network_losses": [
        Claim(
            lambda r: (
                r["absolute error with mistyped counts, huber"]
                < 0.3 * r["absolute error with mistyped counts, squared"]
            ),
            ("absolute error with mistyped counts, huber", "absolute error with mistyped counts, squared"),
        ),
        Claim(
            lambda r: r["deviance, poisson"] < 0.2 * r["deviance, a constant"],
            ("deviance, poisson", "deviance, a constant"),
        ),
        Claim(
            lambda r: r["absolute error, squared"] < 1.15 * r["absolute error, scikit-learn"],
            ("absolute error, squared", "absolute error with mistyped counts, squared"),
        ),
        Claim(
            lambda r: r["below, quantile 0.1"] < 0.25 < 0.75 < r["below, quantile 0.9"],
            ("below, quantile 0.1", "below, quantile 0.9"),
        ),
    ],
    "quantile_bands": [
        Claim(
            lambda r: abs(r["coverage, widened"] - 0.9) < min(0.03, abs(r["coverage, lossmith"] - 0.9)),
            ("coverage, widened", "coverage, lossmith"),
        ),
        *(
            Claim(
                lambda r, q=q: r[f"pinball {q}, lossmith"] < 0.6 * r[f"pinball {q}, constant"],
                (f"pinball {q}, lossmith", f"pinball {q}, constant"),
            )
            for q in ("5%", "50%", "95%")
        ),
        Claim(
            lambda r: r["pinball 50%, lossmith"] < 1.05 * r["pinball 50%, lightgbm"],
            ("pinball 50%, lossmith", "pinball 50%, constant"),
        ),
    ],
}


def missing(script: pathlib.Path) -> list[str]:
    """Packages that a script imports, or needs besides, and that are not installed."""
    nodes = ast.walk(ast.parse(script.read_text()))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(ast.parse(script.read_text()))
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names}
    packages |= {other for package in packages for other in ALSO.get(package, ())}
    return sorted(package for package in packages if importlib.util.find_spec(package) is None)


def run(script: pathlib.Path, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run a script in an empty folder, on one thread, with all warnings shown and no network."""
    (folder / "sitecustomize.py").write_text(OFFLINE)
    paths = [str(folder), str(pathlib.Path(lm.__file__).parents[1])]
    settings = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "default", "PYTHONDONTWRITEBYTECODE": "1"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = {**os.environ, **settings, **threads}
    command = [sys.executable, str(script)]
    (work := folder / "work").mkdir()
    return subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True, timeout=SECONDS)


def our_warnings(stderr: str) -> list[str]:
    """Lines in which Python shows a warning raised in the library or in an example."""
    ours = (str(pathlib.Path(lm.__file__).parent), str(FOLDER))
    return [line for line in stderr.splitlines() if line.startswith(ours) and "Warning: " in line]


def read(output: str) -> tuple[Results, list[tuple[str, float, float]]]:
    """The results printed, and those that say from where to where something went."""
    found = [match for line in output.splitlines() if (match := LINE.match(line))]
    ways = [(m["label"], float(m["first"]), float(m["second"])) for m in found if m["sign"] == "->"]
    return {m["label"]: float(m["first"]) for m in found if m["sign"] != "->"}, ways


def exchanged(results: Results, one: str, other: str) -> Results:
    return {**results, one: results[other], other: results[one]}


def better(label: str, before: float, after: float) -> bool:
    return after > before if re.search("accuracy|recall|score|r2", label, re.IGNORECASE) else after < before


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example(script: pathlib.Path, tmp_path: pathlib.Path) -> None:
    if absent := missing(script):
        pytest.skip(f"{script.name} needs {', '.join(absent)}")
    ran = run(script, tmp_path)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert not our_warnings(ran.stderr)
    results, ways = read(ran.stdout)
    assert results or ways, f"no line with a result: {ran.stdout}"
    for label, before, after in ways:
        assert better(label, before, after), ran.stdout
    for claim in CLAIMS.get(script.stem, ()):
        assert claim.holds(results), ran.stdout
        assert not claim.holds(exchanged(results, *claim.exchanged)), f"holds whatever {claim.exchanged} are"


def test_every_claim_is_about_a_script() -> None:
    assert set(CLAIMS) <= {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_explain_themselves_and_stay_short(script: pathlib.Path) -> None:
    text = script.read_text()
    assert len(ast.get_docstring(ast.parse(text)) or "") > 60
    assert 'if __name__ == "__main__":' in text
    assert len(text.splitlines()) <= 100
    assert f"`{script.name}`" in (FOLDER / "README.md").read_text()


def test_the_reader_sees_results_and_nothing_else() -> None:
    text = "mAP, 5% of new: 0.97 +- 0.01\nheld-out loss  0.693 -> 0.1\nmissed   2 of 64\nReading strings\n12 3\n"
    assert read(text) == ({"mAP, 5% of new": 0.97, "missed": 2.0}, [("held-out loss", 0.693, 0.1)])
    assert better("loss", 0.7, 0.1)
    assert not better("accuracy", 0.7, 0.1)


def test_our_warnings_are_seen_and_those_of_others_are_not(tmp_path: pathlib.Path) -> None:
    script = FOLDER / "unwritten.py"
    code = "import warnings; warnings.warn_explicit('mind', UserWarning, {!r}, 1)"
    for place, seen in ((str(script), 1), (lm.__file__, 1), ("/elsewhere/torch/nn.py", 0)):
        (tmp_path / "script.py").write_text(code.format(place))
        (folder := tmp_path / f"run{len(place)}").mkdir()
        assert len(our_warnings(run(tmp_path / "script.py", folder).stderr)) == seen


def test_scripts_have_no_network(tmp_path: pathlib.Path) -> None:
    (tmp_path / "script.py").write_text("import socket; socket.create_connection(('127.0.0.1', 9))")
    assert "examples run offline" in run(tmp_path / "script.py", tmp_path).stderr


def test_a_missing_package_is_named(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os\ndef f():\n    from no_such_package.part import x\n")
    assert missing(script) == ["no_such_package"]
