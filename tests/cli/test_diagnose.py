"""``lossmith diagnose``: words, JSON, SARIF, a page; 0 clean, 1 findings, 2 unusable."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lossmith.cli.main import _run
from lossmith.diagnose.symptoms import RULES


def write(path, loss, held=None):
    lines = [
        {"step": i, "loss": float(v)} | ({"eval_loss": float(held[i])} if held is not None else {})
        for i, v in enumerate(loss)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def clean(tmp_path):
    return write(tmp_path / "clean.jsonl", 0.3 + 0.7 * np.exp(-np.arange(300) / 30))


@pytest.fixture
def sick(tmp_path):
    loss = 0.3 + 0.7 * np.exp(-np.arange(300) / 30)
    loss[200:] = math.nan
    return write(tmp_path / "sick.jsonl", loss)


def test_exit_codes(clean, sick, capsys):
    assert _run(["diagnose", clean]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert _run(["diagnose", sick]) == 1
    out = capsys.readouterr().out
    assert "LM-NAN" in out
    assert "step 200" in out
    assert "could not run" in out


def test_json_and_mute(sick, capsys):
    assert _run(["diagnose", sick, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["symptoms"][0]["id"] == "LM-NAN"
    muted = [part for rule in RULES for part in ("--mute", rule.id)]
    assert _run(["diagnose", sick, "--json", *muted]) == 0
    assert json.loads(capsys.readouterr().out)["muted"][0]["id"] == "LM-NAN"


def test_files(sick, tmp_path, capsys):
    page, log = tmp_path / "page.html", tmp_path / "found.sarif"
    assert _run(["diagnose", sick, "--html", str(page), "--sarif", str(log)]) == 1
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(log.read_text())["runs"][0]["results"]
    assert f"written: {page}" in " ".join(capsys.readouterr().out.split()).replace("\n", "")


def test_named_columns(tmp_path, capsys):
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n" + "".join(f"{i},{1.0 if i < 50 else 'nan'}\n" for i in range(80)))
    assert _run(["diagnose", str(path), "--columns", "step=a,loss=b"]) == 1
    assert "LM-NAN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (None, []),
        (b"", []),
        (b"\x00\xff\x89PNG" * 100, []),
        (b"hello world\n" * 5, []),
        (b"step,fooled\n1,2\n2,3\n", []),
        (b'{"step": 0, "loss": 1.0}\n', ["--columns", "loss"]),
        (b'{"step": 0, "loss": 1.0}\n', ["--mute", "LM-NONE"]),
        (b'{"step": 0, "loss": 1.0}\n', ["--html", "/nowhere/page.html"]),
        (b'{"step": 0, "loss": 1.0}\n', ["--sarif", "/nowhere/found.sarif"]),
    ],
)
def test_what_cannot_be_used_is_one_line_and_two(tmp_path, capsys, content, options):
    path = tmp_path / "log"
    if content is not None:
        path.write_bytes(content)
    assert _run(["diagnose", str(path), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossmith: ")
    assert error.count("\n") == 1
    assert "Errno" not in error
    assert ".tmp" not in error


@pytest.mark.parametrize(
    "content",
    [
        '{"step": 0, "loss": 1.0}\n',
        '{"step": 5, "loss": 1}\n{"step": 2, "loss": 2}\n' * 9,
        "".join(f'{{"step": {i}, "loss": 1e{200 + 10 * i}, "grad_norm": 1e{10 * i}}}\n' for i in range(12)),
    ],
)
def test_short_and_turning_logs_do_no_harm(tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    assert _run(["diagnose", str(path)]) in (0, 1)
