"""The run folder: whose it is, and files that are whole or absent."""

from __future__ import annotations

import errno
import json
import math
import os

import numpy as np
import pytest

from lossmith.core.errors import InputError
from lossmith.workflow.records import Budget
from lossmith.workflow.store import (
    MARKER,
    default_folder,
    fingerprint,
    identity,
    open_folder,
    plain,
    read_json,
    write_json,
    write_text,
)

WHO = identity("abc", "price", "regression", "rmse", 0)


def everything(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_new_folder_is_taken_and_its_run_continues(tmp_path):
    folder = tmp_path / "deep" / "run"
    assert open_folder(folder, WHO, "1") is False
    assert open_folder(folder, WHO, "2") is True


def test_continuing_sweeps_away_what_a_killed_run_was_writing(tmp_path):
    open_folder(tmp_path, WHO, "1")
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / ".abc.json.0123.tmp").write_text("half")
    (tmp_path / "trials" / "abc.json").write_text("{}")
    open_folder(tmp_path, WHO, "1")
    assert everything(tmp_path) == [MARKER, "trials", "trials/abc.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "other"}, "other data"),
        ({"target": "size"}, "target 'price' instead of 'size'"),
        ({"metric": "mae"}, "metric 'rmse' instead of 'mae'"),
        ({"seed": 1}, "seed 0 instead of 1"),
    ],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path, change, words):
    open_folder(tmp_path / "run", WHO, "1")
    before = everything(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        open_folder(tmp_path / "run", {**WHO, **change}, "1")
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == before


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds no run"):
        open_folder(tmp_path, WHO, "1")
    assert everything(tmp_path) == ["thesis.tex"]


def test_a_file_is_no_folder_and_nothing_can_be_below_it(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        open_folder(tmp_path / "file", WHO, "1")
    with pytest.raises(InputError, match="cannot write"):
        open_folder(tmp_path / "file" / "below", WHO, "1")


def test_a_damaged_marker_is_named(tmp_path):
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        open_folder(tmp_path, WHO, "1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        open_folder(tmp_path / "run", WHO, "1")


def _fails(number):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    return fsync


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "cannot write"), (errno.EIO, "cannot write")]
)
def test_a_full_disk_is_one_line_and_nothing_is_half_written(tmp_path, monkeypatch, number, words):
    write_json(tmp_path / "a.json", {"old": 1})
    monkeypatch.setattr(os, "fsync", _fails(number))
    with pytest.raises(InputError, match=words) as caught:
        write_json(tmp_path / "a.json", {"new": 2})
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == ["a.json"]
    assert read_json(tmp_path / "a.json") == {"old": 1}


def test_a_full_disk_leaves_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", _fails(errno.ENOSPC))
    with pytest.raises(InputError, match="no space left"):
        open_folder(tmp_path / "deep" / "run", WHO, "1")
    assert everything(tmp_path) == []


def test_an_interrupt_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert everything(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_records_become_plain_json(tmp_path):
    value = {"b": Budget(1.0, False, 2, 3, ""), "n": [np.float64(1.5), np.int64(2), math.nan, math.inf], 3: {"x": ()}}
    write_json(tmp_path / "a.json", value)
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved["b"] == {"seconds": 1.0, "cut": False, "planned": 2, "finished": 3, "note": ""}
    assert saved["n"] == [1.5, 2, None, None]
    assert saved["3"] == {"x": []}


def test_text_that_no_file_can_hold_is_written_anyway(tmp_path):
    write_text(tmp_path / "a.txt", "x\udcff")
    assert (tmp_path / "a.txt").read_text() == "x?"


def test_numbers_come_back_bit_for_bit(tmp_path):
    numbers = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50)
    write_json(tmp_path / "a.json", numbers)
    assert read_json(tmp_path / "a.json") == numbers.tolist()


def test_fingerprints_ignore_order_and_notice_change():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert plain((1,)) == [1]


def test_the_default_folder_continues_its_run_and_avoids_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    data = Path("my data <b>.csv")
    first = default_folder(data, WHO)
    assert first == Path("runs/my-data-b")
    open_folder(first, WHO, "1")
    assert default_folder(data, WHO) == first
    other = {**WHO, "seed": 5}
    second = default_folder(data, other)
    assert second != first
    assert second.parent == Path("runs")
    open_folder(second, other, "1")
    assert default_folder(data, other) == second


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), ("{", "cannot read")])
def test_reading_what_is_missing_or_damaged(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=words):
        read_json(tmp_path / "a.json")
