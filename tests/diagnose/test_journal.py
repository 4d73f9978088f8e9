"""A run written live can be read by us, by the log linters, and by TensorBoard."""

from __future__ import annotations

import json
import math
import sys
import types

import numpy as np
import pytest

from lossmith.diagnose.events import EventWriter, checksum, scalars
from lossmith.diagnose.journal import Journal, write_record
from lossmith.diagnose.readers.read import read_record
from lossmith.diagnose.record import Facts, Layer, Record, Step

FACTS = Facts(task="binary", loss="bce", class_counts=(90, 10), rows=100, target_mean=0.1, input_std_max=math.inf)


def steps():
    for i in range(60):
        yield Step(
            i,
            loss=math.nan if i == 33 else 1.0 / (i + 1),
            eval_loss=0.5 + i / 100 if i % 10 == 0 else None,
            learning_rate=1e-3,
            grad_norm=math.inf if i == 34 else 2.0,
            metrics={"eval_accuracy": 0.25, "layers": 3.0} if i % 10 == 0 else {},
            layers={"fc1": Layer(gradient_norm=0.5, zero_share=0.25)} if i == 20 else {},
            samples={"top1_share": 0.5} if i == 20 else {},
        )


def same(a, b):
    """Equal, a NaN being equal to a NaN."""
    return repr(a) == repr(b)


def test_what_is_written_is_read_again(tmp_path):
    record = Record.of(FACTS, steps())
    record.note("a remark")
    write_record(record, tmp_path / "run.jsonl")
    again = read_record(tmp_path / "run.jsonl")
    assert same(list(again.steps), list(record.steps))
    assert again.notes == ("a remark",)
    assert again.facts == Facts(
        **{f: getattr(FACTS, f) for f in FACTS.__slots__ if f != "source"}, source=str(tmp_path / "run.jsonl")
    )


def test_each_line_is_strict_json_and_carries_the_names_that_others_look_for(tmp_path):
    write_record(Record.of(FACTS, steps()), tmp_path / "run.jsonl")

    def refuse(text):
        raise AssertionError(text)

    lines = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert len(lines) == 60
    assert {"step", "loss", "eval_loss", "grad_norm", "learning_rate"} <= set(lines[0])
    assert (lines[33]["loss"], lines[34]["grad_norm"]) == ("NaN", "Infinity")
    assert all("lossmith" not in line for line in lines[1:])


def test_lines_appear_whole_while_the_run_goes_on(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("lossmith.diagnose.journal.time.monotonic", lambda: now[0])
    path = tmp_path / "run.jsonl"
    journal = Journal(path)
    journal.write(Step(0, loss=1.0))
    assert path.read_text() == ""
    now[0] = 1.5
    journal.write(Step(1, loss=0.5))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1]
    journal.close()
    journal.close()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write the run's record to .*: Is a directory"):
        Journal(tmp_path)


def test_losslint_reads_it(tmp_path):
    parsing = pytest.importorskip("losslint.parsing")
    write_record(Record.of(FACTS, steps()), tmp_path / "run.jsonl")
    run = parsing.load_run(tmp_path / "run.jsonl")
    assert run.steps == list(range(60))
    assert run.parse_issues == []
    expected = [s.loss for s in steps()]
    np.testing.assert_array_equal(np.array(run.series["loss"]), expected)
    assert run.series["eval_loss"][10] == pytest.approx(0.6)
    assert math.isinf(run.series["grad_norm"][34])


def test_trainproof_reads_it(tmp_path):
    adapters = pytest.importorskip("trainproof.adapters")
    write_record(Record.of(FACTS, steps()), tmp_path / "run.jsonl")
    rows, form, mapping, _ = adapters.parse_log_with_format_info(tmp_path / "run.jsonl")
    assert form == "jsonl"
    assert {"loss", "eval_loss", "lr", "grad_norm", "step"} <= set(mapping)
    np.testing.assert_array_equal([row["loss"] for row in rows], [s.loss for s in steps()])


@pytest.fixture
def without_tensorflow(monkeypatch):
    """TensorBoard's own switch: it would import TensorFlow for file access, which takes seconds."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))


# --- TensorBoard --------------------------------------------------------------------------------------------------


def test_the_checksum_is_the_published_one():
    crc = 0xE3069283  # CRC-32C of the digits 1 to 9
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert checksum(b"123456789") == masked


def test_events_come_back(tmp_path):
    writer = EventWriter(tmp_path)
    for step in steps():
        writer.write(step)
    writer.close()
    record = read_record(writer.path)
    for name in ("loss", "eval_loss", "grad_norm", "learning_rate", "eval_accuracy"):
        old, new = Record.of(FACTS, steps()).column(name), record.column(name)
        np.testing.assert_array_equal(old[0], new[0])
        np.testing.assert_array_equal(old[1].astype(np.float32), new[1])


def test_tensorboard_reads_our_events_and_we_read_its(tmp_path, without_tensorflow):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    writer = EventWriter(tmp_path)
    writer.write(Step(5, loss=0.5, metrics={"é": math.inf}))
    writer.write(Step(2**40, loss=math.nan))
    writer.close()
    seen = [(e.step, v.tag) for e in loader.EventFileLoader(str(writer.path)).Load() for v in e.summary.value]
    assert seen == [(5, "loss"), (5, "é"), (2**40, "loss")]


def test_we_read_what_torch_writes(tmp_path, without_tensorflow):
    pytest.importorskip("tensorboard")
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(tmp_path) as writer:
        for i in range(5):
            writer.add_scalar("train/loss", 1.0 / (i + 1), i)
            writer.add_scalar("lr", 0.5, i, new_style=True)
            writer.add_text("note", "no number", i)
    record = read_record(tmp_path)
    np.testing.assert_allclose(record.column("loss")[1], 1 / np.arange(1, 6), rtol=1e-6)
    assert record.column("learning_rate")[1].tolist() == [0.5] * 5


def test_events_that_are_cut_off_or_damaged_end_there(tmp_path):
    writer = EventWriter(tmp_path)
    for i in range(10):
        writer.write(Step(i, loss=float(i)))
    writer.close()
    data = writer.path.read_bytes()
    for cut in range(13, len(data), 7):
        writer.path.write_bytes(data[:cut])
        found = [s.step for s in scalars(writer.path)]
        assert found == list(range(len(found)))
    writer.path.write_bytes(data[:60] + b"\xff" * 9 + data[69:])
    assert len(list(scalars(writer.path))) < 10
