"""Errors become one line and an exit code in one place."""

from __future__ import annotations

from typing import Any

import pytest

import lossmith as lm
from lossmith.cli import main as cli


def outcome(monkeypatch: pytest.MonkeyPatch, effect: BaseException) -> int | str | None:
    def fail(**arguments: Any) -> None:
        raise effect

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as end:
        cli.main([])
    return end.value.code


@pytest.mark.parametrize(
    "error", [lm.InputError("two\nlines  here"), ValueError("two lines here"), OSError("two lines here")]
)
def test_what_the_user_can_mend_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, error) == 2
    assert capsys.readouterr().err == "lossmith: two lines here\n"


def test_interrupts_exit_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "lossmith: interrupted\n"


def test_faults_of_ours_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main([])


def test_the_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSMITH_TRACEBACK", "1")

    def fail(**arguments: Any) -> None:
        raise ValueError("deep")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ValueError, match="deep"):
        cli.main([])


def test_a_run_that_is_interrupted_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lossmith.workflow import run as workflow

    def interrupted(*arguments: Any, progress: Any, **options: Any) -> None:
        progress.trial_finished(None, 1, 2, 3.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "run", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "d.csv", "--target", "y", "--output", "there"])
    assert end.value.code == 130
    told = capsys.readouterr().err
    assert told == "lossmith: interrupted; 1 finished trainings are kept in there; the same command continues\n"
