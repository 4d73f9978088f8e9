"""``lossmith watch`` on logs that grow, end, or are none."""

from __future__ import annotations

import io
import json
import math
import threading
import time

import pytest

from lossmith.cli import watch as command
from lossmith.diagnose.follow import ended, follow
from lossmith.diagnose.journal import Journal
from lossmith.diagnose.monitors.run import Run
from lossmith.diagnose.record import Step
from lossmith.diagnose.symptoms import symptoms


def write(path, losses, end=False):
    journal = Journal(path)
    for i, loss in enumerate(losses):
        journal.write(Step(i, loss=loss, grad_norm=1.0))
    (journal.end if end else journal.close)()
    return path


FALLING = [1.0 / (i + 1) for i in range(50)]


def test_a_log_is_followed_as_it_grows_and_until_it_ends(tmp_path):
    path = tmp_path / "run.jsonl"
    journal = Journal(path)
    seen, waits = [], []

    def sleep(seconds):
        waits.append(seconds)
        i = len(waits)
        if i <= 3:
            journal.write(Step(i, loss=1.0 / i))
            journal.flush()
        elif i == 5:
            journal.end()

    for record in follow(path, sleep=sleep):
        seen.append(record.total)
    assert seen == [1, 2, 3, 3]  # the first look finds an empty file, the last one the end
    assert len(waits) == 5
    assert ended(path)


def test_a_log_of_others_is_left_when_nothing_comes(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n0,1\n1,0.5\n")
    waits = []
    records = list(follow(path, idle=3.0, sleep=waits.append))
    assert [r.total for r in records] == [2]
    assert sum(waits) == pytest.approx(3.0)


def test_a_half_written_document_is_passed_over(tmp_path):
    path = tmp_path / "history.json"
    whole = json.dumps({"loss": [1.0, 0.5]})
    path.write_text(whole)
    states = iter([whole[:10], whole + " "])
    seen = [r.total for r in follow(path, idle=2.0, sleep=lambda s: path.write_text(next(states, whole + " ")))]
    assert seen == [2, 2]


def test_pipes_get_lines_and_symptoms(tmp_path, capsys):
    path = write(tmp_path / "run.jsonl", [*FALLING, math.nan], end=True)
    assert command.watch(str(path)) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "step 50  loss nan  grad_norm 1"
    assert told[1].startswith("LM-NAN ")
    assert "step 50" in told[1]


def test_a_healthy_run_leaves_with_0(tmp_path, capsys):
    path = write(tmp_path / "run.jsonl", FALLING, end=True)
    assert command.watch(str(path)) == 0
    assert "LM-" not in capsys.readouterr().out


def test_ctrl_c_is_a_way_to_end(tmp_path, capsys, monkeypatch):
    path = write(tmp_path / "run.jsonl", FALLING)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("lossmith.diagnose.follow.time.sleep", interrupt)
    monkeypatch.setattr("lossmith.diagnose.follow.follow.__kwdefaults__", {**follow.__kwdefaults__, "sleep": interrupt})
    assert command.watch(str(path)) == 0
    assert capsys.readouterr().out.startswith("step 49")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.csv", None, "there is no file"),
        ("noise.bin", b"\0\1\2" * 99, "cannot use"),
        (".", None, "holds 0 logs; give one"),
    ],
)
def test_what_cannot_be_watched_is_one_line(name, content, message, tmp_path):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        command.watch(str(tmp_path / name))


def test_a_terminal_shows_curves_and_symptoms_in_place(tmp_path):
    from rich.console import Console

    path = write(tmp_path / "run.jsonl", [*FALLING, math.nan])
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    shown = command._Live(screen, path)
    record = next(follow(path))
    shown.update(record, symptoms(record)[0])
    shown.close()
    text = screen.file.getvalue()
    assert "waiting for the first step" in text
    for word in ("run.jsonl", "step 50", "loss", "█", "!", "LM-NAN"):
        assert word in text


def test_a_run_that_is_being_written_in_another_thread(tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    run = Run(path=path, live=False)

    def train():
        for i in range(30):
            run.add(Step(i, loss=1.0 / (i + 1)))
            time.sleep(0.002)
        run.close()

    thread = threading.Thread(target=train)
    thread.start()
    code = command.watch(str(path), every=0.05)
    thread.join()
    assert code == 0
    assert "step 29" in capsys.readouterr().out.splitlines()[-1]


def test_who_will_not_wait_is_not_kept_waiting_for_a_long_log(tmp_path, monkeypatch):
    path, waits = write(tmp_path / "run.jsonl", FALLING), []
    now = iter(range(0, 10_000, 30))  # each look takes half a minute
    monkeypatch.setattr("lossmith.diagnose.follow.time.monotonic", lambda: next(now))
    list(follow(path, every=0.5, idle=2.0, sleep=waits.append))
    assert sum(waits) <= 3.0


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"step": 0, "speed": 1.5}\n', "it holds speed; say which column is the loss"), ("", "no step has come to")],
)
def test_a_log_without_a_loss_is_told_so_in_one_line(content, message, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        command.watch(str(path), every=0.05, idle=0.05, columns="")


@pytest.mark.parametrize(
    "start", ["step,loss\n", "step", '{"step": 0, "lo', "loading 60000 images\n", "epoch 1 of 9\n"]
)
def test_a_log_that_has_only_begun_is_waited_for(start, tmp_path):
    path, rows = tmp_path / "log", iter(range(99))
    path.write_text(start)
    form = "{0},{1}" if start.startswith("step") else '{{"step": {0}, "loss": {1}}}'
    form = "step {0} loss {1}" if start.endswith(("images\n", "9\n")) else form
    whole = "step,loss\n" if start.startswith("step") else start if start.endswith("\n") else ""
    reasons = []

    def sleep(seconds):
        i = next(rows)
        if 1 <= i <= 3:
            path.write_text(whole + "".join(form.format(k, 1 / (k + 1)) + "\n" for k in range(i)))

    seen = [r.total for r in follow(path, idle=2.0, sleep=sleep, waiting=reasons.append)]
    assert seen == [1, 2, 3]
    assert all("cannot use" in reason for reason in reasons)
    assert reasons


def test_a_log_that_never_comes_to_anything_is_refused(tmp_path, capsys):
    path = tmp_path / "log"
    path.write_text("loading\n")
    with pytest.raises(ValueError, match="it is text in which no loss can be found"):
        command.watch(str(path), every=0.05, idle=0.1, columns="")
    assert capsys.readouterr().out.splitlines() == [f"waiting: cannot use '{path}': {_NOTHING}"]
    path.write_text("prose " * 2000)
    with pytest.raises(ValueError, match="it is text in which no loss can be found"):
        command.watch(str(path), every=0.05, columns="")


_NOTHING = "it is text in which no loss can be found"
