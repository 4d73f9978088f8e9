"""Logs of every kind, kind or hostile."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.readers.read import find_logs
from lossmith.diagnose.readers.texts import pairs

LOSS = [0.9, 0.5, 0.25]


def write(tmp_path, text, name="log.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def column(path, name="loss", **options):
    steps, values = lm.read_record(path, **options).column(name)
    return steps.tolist(), values.tolist()


# --- forms ------------------------------------------------------------------------------------------------------


def test_a_keras_history_as_dict_and_as_json(tmp_path):
    history = {"loss": LOSS, "val_loss": [0.8, 0.6, 0.7], "accuracy": [0.1, 0.2, 0.3], "val_accuracy": [0.0, 0.1, 0.2]}
    for source in (history, write(tmp_path, json.dumps(history)), write(tmp_path, json.dumps({"history": history}))):
        assert column(source) == ([0, 1, 2], LOSS)
        assert column(source, "eval_loss")[1] == [0.8, 0.6, 0.7]
        assert column(source, "accuracy")[1] == [0.1, 0.2, 0.3]
        assert column(source, "eval_accuracy")[1] == [0.0, 0.1, 0.2]


def test_a_trainer_state_of_hugging_face(tmp_path):
    state = {
        "max_steps": 300,
        "train_batch_size": 8,
        "log_history": [
            {"epoch": 0.5, "grad_norm": 1.5, "learning_rate": 5e-5, "loss": 0.9, "step": 10},
            {"epoch": 1.0, "eval_loss": 0.8, "eval_runtime": 1.0, "step": 10},
            {"epoch": 1.5, "grad_norm": math.nan, "learning_rate": 4e-5, "loss": 0.5, "step": 20},
            {"epoch": 1.5, "step": 20, "total_flos": 0, "train_loss": 0.7, "train_runtime": 3.0},
        ],
    }
    record = lm.read_record(write(tmp_path, json.dumps(state), "trainer_state.json"))
    assert record.column("loss")[0].tolist() == [10, 20]
    assert record.column("eval_loss")[1].tolist() == [0.8]
    assert math.isnan(record.column("grad_norm")[1][1])
    assert (record.facts.planned_steps, record.facts.batch_size, record.facts.framework) == (300, 8, "huggingface")


def test_a_csv_of_lightning_with_its_gaps(tmp_path):
    head = "epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_loss\n"
    text = head + "0,0.1,9,,0.9,\n0,,9,,,0.8\n0,,9,0.95,,\n1,0.1,19,,0.5,\n"
    path = write(tmp_path, text, "metrics.csv")
    record = lm.read_record(path)
    assert record.column("loss")[0].tolist() == [9, 19]
    assert record.column("eval_loss")[1].tolist() == [0.8]
    assert record.column("learning_rate")[1].tolist() == [0.1, 0.1]
    assert record.notes == (
        "columns read by their names: loss from 'train_loss_step', eval_loss from 'val_loss', "
        "learning_rate from 'lr-Adam'",
    )


def test_any_csv_by_names_that_are_said(tmp_path):
    path = write(tmp_path, "t;a;b\n1;0.9;7\n2;0.5;8\n")
    said = {"step": "t", "loss": "b"}
    assert column(path, columns=said) == ([1, 2], [7.0, 8.0])
    with pytest.raises(ValueError, match="it has no column 'c'; its columns are t, a, b"):
        lm.read_record(path, {"loss": "c"})
    with pytest.raises(ValueError, match="columns: 'cost' is not a field of a step; give one of step, loss"):
        lm.read_record(path, {"cost": "a"})


def test_a_guess_is_shown(tmp_path):
    record = lm.read_record(write(tmp_path, "iteration,rmse\n1,0.9\n2,0.5\n"))
    assert record.column("loss")[1].tolist() == [0.9, 0.5]
    assert record.notes == ("columns read by their names: step from 'iteration', loss from 'rmse'",)


def test_a_table_without_a_head(tmp_path):
    record = lm.read_record(write(tmp_path, "0,0.9\n1,0.5\n2,0.25\n"))
    assert record.column("loss")[1].tolist() == LOSS
    assert record.notes == ("the table has no head: its columns were taken for step, loss",)


@pytest.mark.parametrize(
    "text",
    ["step loss\n0 0.9\n1 0.5\n2 0.25\n", "# step loss\n0  9e-1\n1  0.5\n2  .25\n", "0 0.9\n1 0.5\n2 0.25\n"],
)
def test_a_table_between_blanks(text, tmp_path):
    assert column(write(tmp_path, text)) == ([0, 1, 2], LOSS)


@pytest.mark.parametrize("text", ["step;loss\n0;0,9\n1;0,5\n2;2,5e-1\n", "0;0,9\n1;0,5\n2;0,25\n"])
def test_decimal_commas_between_semicolons(text, tmp_path):
    assert column(write(tmp_path, text)) == ([0, 1, 2], LOSS)


def test_an_empty_cell_is_not_a_nan(tmp_path):
    path = write(tmp_path, "step,loss,grad_norm\n0,nan,1\n1,,2\n2,inf,3\n")
    steps, values = lm.read_record(path).column("loss")
    assert steps.tolist() == [0, 2]
    np.testing.assert_array_equal(values, [math.nan, math.inf])


def test_json_lines_of_others(tmp_path):
    text = '{"iter": 0, "train": {"loss": 0.9}}\n{"iter": 1, "train": {"loss": "NaN"}, "text": "x"}\n'
    text += '{"iter": 2, "train": {"loss": NaN}}\n'
    steps, values = column(write(tmp_path, text))
    assert steps == [0, 1, 2]
    assert math.isnan(values[1])
    assert math.isnan(values[2])


PRINTED = {
    "lightgbm": "[LightGBM] [Info] Total Bins 5\n[1]\ttraining's l2: 0.9\tvalid_1's l2: 0.95\n"
    "[2]\ttraining's l2: 0.5\tvalid_1's l2: 0.6\n",
    "xgboost": "[1]\ttrain-rmse:0.90000\teval-rmse:0.95000\n[2]\ttrain-rmse:0.5\teval-rmse:0.6\n",
    "catboost": "1:\tlearn: 0.9\ttest: 0.95\tbest: 0.95 (1)\ttotal: 5ms\tremaining: 4s\n"
    "2:\tlearn: 0.5\ttest: 0.6\tbest: 0.6 (2)\ttotal: 9ms\n",
    "a loop": "starting\nEpoch 1/2, train loss: 0.9 - val_loss: 0.95\n"
    "Epoch 2/2, train loss: 0.5 - val_loss: 0.6\ndone\n",
}


@pytest.mark.parametrize("program", PRINTED)
def test_what_programs_print(program, tmp_path):
    path = write(tmp_path, PRINTED[program])
    assert column(path) == ([1, 2], [0.9, 0.5])
    assert column(path, "eval_loss") == ([1, 2], [0.95, 0.6])


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("step 1,000/20,000 loss: 0.52", {"step": 1000.0, "loss": 0.52}),
        ("step: 12,000, loss: 1,234.5", {"step": 12000.0, "loss": 1234.5}),
        ("step=2,000 loss=3", {"step": 2000.0, "loss": 3.0}),
        ("epoch: 3, loss: 0,52, val_loss: 1,125", {"epoch": 3.0, "loss": 0.52, "val_loss": 1.125}),
        ("{'loss': 0.5, 'epoch': 0.25}", {"loss": 0.5, "epoch": 0.25}),
        ("loss:1,acc:0.5", {"loss": 1.0, "acc": 0.5}),
    ],
)
def test_commas_in_printed_numbers(line, numbers):
    assert pairs(line) == numbers


def test_results_of_boosters():
    lightgbm = {
        "training": {"auc": [0.6, 0.7], "binary_logloss": [0.9, 0.5]},
        "valid_1": {"auc": [0.5, 0.6], "binary_logloss": [0.95, 0.6]},
    }
    assert column(lightgbm) == ([0, 1], [0.9, 0.5])
    assert column(lightgbm, "eval_auc")[1] == [0.5, 0.6]
    record = lm.read_record({"validation_0": {"rmse": [0.9]}, "validation_1": {"rmse": [0.95]}})
    assert record.column("eval_loss")[1].tolist() == [0.95]
    assert "loss from rmse of 'validation_0'" in record.notes[0]
    alone = lm.read_record({"valid_0": {"l2": [0.9]}})
    assert alone.column("loss")[1].size == 0
    assert alone.column("eval_loss")[1].tolist() == [0.9]


# --- folders ----------------------------------------------------------------------------------------------------


def test_a_folder_gives_its_log_and_names_them_when_there_are_several(tmp_path):
    with pytest.raises(ValueError, match="holds no log; accepted: JSON lines"):
        lm.read_record(tmp_path)
    write(tmp_path, "not a log")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", "step,loss\n0,1\n", "metrics.csv")
    assert column(tmp_path) == ([0], [1.0])
    for step in ("90", "100"):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = {"log_history": [{"step": 1, "loss": float(step)}]}
        write(tmp_path / f"checkpoint-{step}", json.dumps(state), "trainer_state.json")
    assert [p.parent.name for p in find_logs(tmp_path)] == ["a", "checkpoint-100"]
    with pytest.raises(ValueError, match=r"holds 2 logs; give one of a/metrics.csv, checkpoint-100/trainer_state.json"):
        lm.read_record(tmp_path)


# --- hostile logs -----------------------------------------------------------------------------------------------


HOSTILE = {
    "empty": b"",
    "blank": b"\n\n  \n",
    "zeros": b"\0" * 5000,
    "noise": bytes(range(256)) * 40,
    "a pickle": pickle.dumps({"loss": LOSS}),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(range(200)),
    "prose": b"It was the best of times, it was the worst of times.\n" * 20,
    "a cut-off document": b'{"log_history": [{"step": 1, "loss": 0.5}, {"st',
    "JSON of another kind": b'{"name": "x", "layers": ["a", "b"]}',
    "deep JSON": b"[" * 100_000,
    "a bare brace": b"{",
    "names without numbers": b"step,loss\na,b\nc,d\n",
    "one long line": b"x" * 3_000_000,
    "invalid UTF-8": b"\xff\xfe\xfa" * 300,
    "records without steps": b'{"step": 0, "lossmith": {"version": 1}}\n',
    "a record with a broken heart": b'{"lossmith": 5, "step": "x"}\n',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_log_gives_one_clear_line(kind, tmp_path):
    path = write(tmp_path, HOSTILE[kind])
    with pytest.raises(ValueError, match="cannot use") as caught:
        lm.read_record(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


ENCODED = {
    "JSON lines": '{"step": 0, "loss": 0.9}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n',
    "a table": "loss,accuracy\n0.9,0\n0.5,0\n0.25,1\n",
    "a bare column": "0.9\n0.5\n0.25\n",
    "a document": '{"loss": [0.9, 0.5, 0.25]}',
    "a list": '[{"step": 0, "loss": 0.9}, {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]',
    "a program": "step 0 loss: 0.9\r\nstep 1 loss: 0.5\r\nstep 2 loss: 0.25\r\n",
}


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ENCODED)
def test_marks_of_windows_are_no_part_of_a_log(form, code, tmp_path):
    path = write(tmp_path, ENCODED[form].encode(code))
    assert column(path) == ([0, 1, 2], LOSS)
    assert column(path, columns={"loss": "loss"})[1] == LOSS


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\ninf,0.9\nnan,0.5\n1e300,0.25\n",
        '{"step": Infinity, "loss": 0.9}\n{"step": NaN, "loss": 0.5}\n{"step": 1e40, "loss": 0.25}\n',
    ],
)
def test_steps_that_count_nothing_are_counted(text, tmp_path):
    assert column(write(tmp_path, text)) == ([0, 1, 2], LOSS)


@pytest.mark.parametrize("step", ["1e400", "9" * 30])
def test_a_line_of_ours_with_such_a_step_is_passed_over(step, tmp_path):
    head = '{"step": 0, "lossmith": {"version": 1, "facts": {"task": "binary"}}}\n'
    path = write(tmp_path, f'{head}{{"step": 1, "loss": 0.5}}\n{{"step": {step}, "loss": 0.4}}\n')
    assert column(path) == ([1], [0.5])


def test_a_round_beyond_64_bits_is_no_round(tmp_path):
    assert column(write(tmp_path, f"[1]\ttrain-rmse:0.9\n[{'9' * 25}]\ttrain-rmse:0.5\n")) == ([1], [0.9])


def test_a_column_that_was_named_and_is_not_there_is_told(tmp_path):
    path = write(tmp_path, '{"step": 0, "loss": 0.9}\n{"step": 1, "loss": 0.5}\n')
    with pytest.raises(ValueError, match="it has no column 'nll'; its columns are step, loss"):
        lm.read_record(path, {"loss": "nll"})
    # It may come later in a log that still grows.
    assert (
        "eval_loss: it has no column 'v'; its columns are step, loss" in lm.read_record(path, {"eval_loss": "v"}).notes
    )


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_history_in_memory_holds_any_sequences(kind):
    assert column({"loss": kind(LOSS), "val_loss": kind([0.8, 0.7])}, "eval_loss") == ([0, 1], [0.8, 0.7])


@pytest.mark.parametrize("given", [3, None, LOSS])
def test_what_is_no_log_in_memory(given):
    with pytest.raises(TypeError, match=r"a log is a path, or a mapping of names .* not"):
        lm.read_record(given)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        lm.read_record(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="there is no file"):
        lm.read_record("x" * 5000)


@pytest.mark.parametrize(
    "text",
    [
        '{"step": 0, "loss": 0.9}\n{"step": 1, "loss": 0.5}\n{"step": 2, "lo',
        "step,loss\n0,0.9\n1,0.5\n2",
        "banner\n[0]\ttrain-rmse:0.9\n[1]\ttrain-rmse:0.5\n[2]\ttrain-",
    ],
)
def test_a_log_that_is_cut_off_is_read_up_to_there(text, tmp_path):
    assert column(write(tmp_path, text))[1][:2] == [0.9, 0.5]


def test_one_line_and_nothing_but_nan(tmp_path):
    assert column(write(tmp_path, '{"step": 3, "loss": 0.5}')) == ([3], [0.5])
    assert column(write(tmp_path, "loss\n0.5\n")) == ([0], [0.5])
    record = lm.read_record(write(tmp_path, "step,loss\n" + "".join(f"{i},nan\n" for i in range(50))))
    assert np.isnan(record.column("loss")[1]).all()
    assert len(record) == 50


def test_a_run_that_was_started_again_is_read_from_there(tmp_path):
    rows = [*((i, 1.0) for i in range(10)), *((i, 2.0) for i in range(5))]
    record = lm.read_record(write(tmp_path, "step,loss\n" + "".join(f"{s},{v}\n" for s, v in rows)))
    assert record.column("loss")[1].tolist() == [2.0] * 5
    assert record.notes[0].startswith("steps go back (9 to 0): the run was started again")


def test_a_resumed_run_replaces_what_it_did_again(tmp_path):
    rows = [*((i, 1.0) for i in range(10)), *((i, 2.0) for i in range(7, 12))]
    steps, values = column(write(tmp_path, "step,loss\n" + "".join(f"{s},{v}\n" for s, v in rows)))
    assert steps == list(range(12))
    assert values == [1.0] * 7 + [2.0] * 5


def test_two_runs_mixed_line_by_line_are_noted(tmp_path):
    rows = [(i + j * 100, float(j)) for i in range(20) for j in (0, 1)]
    record = lm.read_record(write(tmp_path, "step,loss\n" + "".join(f"{s},{v}\n" for s, v in rows)))
    assert record.column("loss")[0].tolist() == sorted(s for s, _ in rows)
    assert "steps go back 19 times: sorted; several runs may be mixed in it" in record.notes
    twice = lm.read_record(write(tmp_path, "step,loss\n" + "".join(f"{i},{j}\n" for i in range(20) for j in (1, 9))))
    assert twice.notes == ("20 steps have more than one loss: several runs may be mixed in it",)


def test_a_huge_log_is_thinned_but_keeps_what_is_rare(tmp_path):
    n = 200_000

    def row(i):
        value = "nan" if i == 123_457 else f"{1 / (i + 1):.6g}"
        return f"{i},{value},{0.5 if i % 5000 == 4999 else ''}\n"

    path = write(tmp_path, "step,loss,eval_loss\n" + "".join(map(row, range(n))))
    record = lm.read_record(path, limit=1000)
    assert record.total == n
    assert len(record) <= 1002
    assert record.steps[0].step == 0
    assert record.steps[-1].step == n - 1
    assert record.column("eval_loss")[0].tolist() == list(range(4999, n, 5000))
    steps, values = record.column("loss")
    assert steps[np.isnan(values)].tolist() == [123_457]
    assert any("thinned out evenly" in note for note in record.notes)


@pytest.mark.parametrize("form", ["step {:,} loss: {:.6f}", "loss: {1:.6f}", "[{}]\ttrain-rmse:{:.6f}"])
def test_a_huge_printed_log_says_how_many_steps_it_has(form, tmp_path):
    n = 50_000
    text = "starting\n" + "".join(form.format(i, 1 / (i + 1)) + "\n" for i in range(n))
    record = lm.read_record(write(tmp_path, text), limit=1000)
    assert record.total == pytest.approx(n, rel=0.01)
    assert record.steps[-1].step == pytest.approx(n - 1, rel=0.01)
