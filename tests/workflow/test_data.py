"""A good file is read as it stands; a bad one is refused in one line that names it and the remedy."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossmith.core.errors import InputError
from lossmith.workflow.data import read_features, read_table

GOOD = "a,b,y\n1,red,2.5\n2,blue,3.5\n,red,4.0\n"


@pytest.fixture
def write(tmp_path):
    def put(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def refusal(path, target="y"):
    """The message of the refusal, which must be a single line that names the file or the column."""
    with pytest.raises(InputError) as caught:
        read_table(path, target)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert ";" in message or "?" in message, "no remedy is offered"
    return message


# ---- what is read


def test_a_csv_is_read_as_it_stands(write):
    path = write(GOOD)
    data = read_table(path, "y")
    assert list(data.X) == ["a", "b"]
    assert data.X["a"].isna().tolist() == [False, False, True]
    assert data.X["b"].tolist() == ["red", "blue", "red"]
    assert data.y.tolist() == [2.5, 3.5, 4.0]
    assert (data.target, data.rows, data.path, data.notes) == ("y", 3, str(path), ())
    assert data.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_table(tmp_path, suffix):
    frame = pd.DataFrame({"n": [1.5, np.nan, -3.0], "t": ["x", "ü,;\t", "z"], "b": [True, False, True], "y": [1, 2, 4]})
    path = tmp_path / f"data{suffix}"
    save = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".parquet": lambda: frame.to_parquet(path),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
    }
    save[suffix]()
    got = read_table(path, "y")
    pd.testing.assert_frame_equal(got.X, frame[["n", "t", "b"]])
    assert got.y.tolist() == [1, 2, 4]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n  \n"])
def test_line_ends_marks_and_blank_lines_do_not_matter(write, line_end, start, end):
    text = (start + GOOD.rstrip("\n") + end).replace("\n", line_end)
    pd.testing.assert_frame_equal(read_features(write(text)), read_features(write(GOOD, "plain.csv")))


def test_quoted_separators_quotes_and_line_breaks_are_kept(write):
    path = write('"a ""x""","b,\nc",y\n"1,5","two\nlines",1\n"q""q",z,2\n')
    data = read_table(path, "y")
    assert list(data.X) == ['a "x"', "b,\nc"]
    assert data.X.iloc[0].tolist() == ["1,5", "two\nlines"]
    assert data.X.iloc[1, 0] == 'q"q'


def test_semicolons_and_decimal_commas_are_recognised_and_said(write):
    data = read_table(write("a;y\n1,5;2\n2,25;3,5\n"), "y")
    assert data.X["a"].tolist() == [1.5, 2.25]
    assert data.y.tolist() == [2.0, 3.5]
    assert len(data.notes) == 2


def test_commas_inside_semicolon_text_are_no_decimal_commas(write):
    data = read_table(write("a;n;y\nx, z;1.5;2\n1,5;2.5;3\n"), "y")
    assert data.X["n"].tolist() == [1.5, 2.5]
    assert data.X["a"].tolist() == ["x, z", "1,5"]


def test_unnamed_columns_get_names_and_spaces_around_names_go(write):
    assert list(read_features(write(", b ,y\n0,1,2\n1,2,3\n"))) == ["column 1", "b", "y"]


@pytest.mark.parametrize("gap", ["", "NA", "NaN", "null", "?", "."])
def test_marks_of_missing_values(write, gap):
    assert read_table(write(f"a,b,y\n1,x,1\n{gap},x,2\n"), "y").X["a"].isna().tolist() == [False, True]


def test_json_lines_fill_absent_keys_and_say_so(write):
    data = read_table(write('{"a": 1, "y": 1}\n\n{"y": 2, "b": "x"}\n', "d.jsonl"), "y")
    assert data.X["a"].isna().tolist() == [False, True]
    assert "1 of 2" not in data.notes[0]
    assert "2 of 2 rows" in data.notes[0]


def test_features_need_no_target_and_one_row_is_enough(write):
    assert len(read_features(write("a,b\n1,2\n"))) == 1


def test_parquet_keeps_a_named_index_and_drops_an_unnamed_one(tmp_path):
    frame = pd.DataFrame({"a": [5, 9, 2], "y": [1, 2, 3]})
    frame.set_index("a").to_parquet(tmp_path / "named.parquet")
    frame.set_axis([7, 3, 4]).to_parquet(tmp_path / "unnamed.parquet")
    assert sorted(read_features(tmp_path / "named.parquet")) == ["a", "y"]
    assert list(read_table(tmp_path / "unnamed.parquet", "y").X) == ["a"]


CELLS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e9, 1e9), st.text("ab ,;\"'é\n<", max_size=6))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS), min_size=2, max_size=8))
def test_any_csv_that_the_standard_library_writes_has_its_rows_and_columns(tmp_path, rows):
    import csv

    path = tmp_path / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "b", "y"), *((*row, at) for at, row in enumerate(rows))])
    assert read_features(path)["y"].tolist() == list(range(len(rows)))


# ---- what is refused: (content, words that the message must say)

BAD_CSV = {
    "empty": ("", ["is empty"]),
    "blank": ("\n \n\n", ["is empty"]),
    "header only": ("a,b,y\n", ["header and no rows"]),
    "one row": ("a,y\n1,2\n", ["1 row", "more rows"]),
    "short row": ("a,b,y\n1,2,3\n4,5\n", ["ragged", "line 3", "2 fields", "3"]),
    "long row": ("a,b,y\n1,2,3\n4,5,6,7\n", ["ragged", "line 3", "4 fields"]),
    "long first row": ("a,b,y\n1,2,3,4\n5,6,7,8\n", ["ragged", "line 2", "4 fields"]),
    "duplicate": ("a,b,a,y\n1,2,3,4\n5,6,7,8\n", ["'a' twice", "columns 1 and 3", "rename"]),
    "duplicate but for a space": ("a, a,y\n1,2,3\n4,5,6\n", ["'a' twice"]),
    "latin-1": ("a,y\ncaf\xe9,1\nb,2\n".encode("latin-1"), ["not UTF-8", "0xe9", "offset 7", "line 2", "WINDOWS-1252"]),
    "utf-16": ("a,y\n1,2\n3,4\n".encode("utf-16"), ["not UTF-8", "UTF-16"]),
    "binary": (b"PK\x03\x04\0\0\0\0", ["binary"]),
    "no such column": ("a,Price,z\n1,2,3\n4,5,6\n", ["no column 'y'", "'a'", "'Price'", "'z'"]),
    "constant": ("a,y\n1,3\n2,3.0\n", ["constant", "'3"]),
    "constant text": ("a,y\n1,no\n2,no\n", ["constant", "'no'"]),
    "missing target": ("a,y\n1,3\n2,\n3,\n4,5\n", ["no value", "2 of 4 rows", "data row 2"]),
    "infinite target": ("a,y\n1,3\n2,4\n3,inf\n4,-inf\n", ["infinite", "2 of 4 rows", "data row 3"]),
    "all missing": ("a,y\n1,\n2,\n", ["no value", "2 of 2"]),
    "dates": ("a,y\n1,2024-01-01\n2,2024-01-02\n", ["dates"]),
    "only a target": ("y\n1\n2\n", ["only the target"]),
    "open quote": ('a,y\n1,2\n"3,4\n5,6\n', ["ragged"]),
    "open quote at the end": ('a,y\n1,2\n3,"4\n', ["quote"]),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_refused_in_one_line(write, case):
    content, words = BAD_CSV[case]
    message = refusal(write(content))
    for word in words:
        assert word in message


@pytest.mark.parametrize(("wanted", "meant"), [("price", "'Price'"), ("prcie", "'Price'"), ("PRICE ", "'Price'")])
def test_a_close_name_is_suggested(write, wanted, meant):
    assert f"did you mean {meant}" in refusal(write("Price,z\n1,2\n2,3\n"), wanted)


def test_a_far_name_is_not_suggested(write):
    assert "did you mean" not in refusal(write("Price,z\n1,2\n2,3\n"), "weight")


BAD_JSON = {
    "not json": ('{"a": 1, "y": 1}\nhello\n', ["line 2", "not JSON"]),
    "an array": ('[{"a": 1}]\n', ["line 1", "one object per line"]),
    "a number": ('{"a": 1, "y": 1}\n7\n', ["line 2", "no object"]),
    "twice a key": ('{"a": 1, "y": 2, "a": 3}\n', ["line 1", "'a' twice"]),
    "nested": ('{"a": {"b": 1}, "y": 2}\n', ["line 1", "'a'", "flatten"]),
    "a list": ('{"a": 1, "y": 1}\n{"a": [1], "y": 2}\n', ["line 2", "'a'"]),
    "deep": ('{"a": ' + "[" * 100_000, ["line 1", "not JSON"]),
    "half a surrogate": ('{"a": "\\ud800", "y": 1}\n{"a": "b", "y": 2}\n', ["line 1"]),
    "missing target": ('{"a": 1, "y": 1}\n{"a": 1}\n', ["no value", "data row 2"]),
    "infinite target": ('{"a": 1, "y": 1}\n{"a": 1, "y": Infinity}\n', ["infinite", "data row 2"]),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_lines_are_refused_in_one_line(write, case):
    content, words = BAD_JSON[case]
    message = refusal(write(content, "data.jsonl"))
    for word in words:
        assert word in message


def test_bad_parquet_is_refused(write, tmp_path):
    assert "Parquet" in refusal(write("a,y\n1,2\n", "data.parquet"))
    pd.DataFrame({"a": [[1], [2]], "y": [1, 2]}).to_parquet(tmp_path / "nested.parquet")
    assert "flatten" in refusal(tmp_path / "nested.parquet")
    pd.DataFrame({"a": [], "y": []}).to_parquet(tmp_path / "none.parquet")
    assert "no rows" in refusal(tmp_path / "none.parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    twice = pa.Table.from_arrays([pa.array([1, 2]), pa.array([1, 2])], names=["y", "y"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    assert "'y' twice" in refusal(tmp_path / "twice.parquet")


def test_what_is_no_file_is_refused(write, tmp_path):
    assert "no file" in refusal(tmp_path / "absent.csv")
    assert "folder" in refusal(tmp_path)
    assert "unknown extension '.xlsx'" in refusal(write(GOOD, "data.xlsx"))
    assert "unknown extension ''" in refusal(write(GOOD, "data"))
    assert refusal(tmp_path / ("long" * 200 + ".csv"))
    assert "no regular file" in refusal(_pipe(tmp_path / "pipe.csv"))


def _pipe(path):
    import os

    if sys.platform == "win32":
        pytest.skip("no named pipes")
    os.mkfifo(path)
    return path


def test_an_unreadable_file_is_refused_with_its_reason(write, monkeypatch):
    path = write(GOOD)

    def deny(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", deny)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", 'quo"te', "it's", "new\nline", "\x1b[31mred", "", "ü" * 300]
)
def test_odd_column_names_are_data_and_keep_messages_to_one_line(write, name):
    text = pd.DataFrame([[1, 2], [3, 4]], columns=[name, "z"]).to_csv(index=False)
    assert read_features(write(text)).columns[0] == (name or "column 1")
    message = refusal(write(text), "wanted")
    assert "\x1b" not in message


def test_the_same_checks_guard_new_data(write):
    for case in ("empty", "header only", "short row", "duplicate", "latin-1", "binary"):
        with pytest.raises(InputError):
            read_features(write(BAD_CSV[case][0]))


def test_a_file_is_not_touched(write):
    path = write(GOOD)
    before = path.stat().st_mtime_ns, sorted(path.parent.iterdir())
    read_table(path, "y")
    refusal(path, "absent")
    assert (path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before


def test_shipped_data_are_read_and_their_notes_are_json():
    from pathlib import Path

    folder = Path(__file__).parents[2] / "examples" / "data"
    targets = {"diamonds": "price", "bikes": "bikers", "credit": "creditability", "abalone": "sex"}
    rows = {"diamonds": 3596, "bikes": 3458, "credit": 1000, "abalone": 4177}
    for name, target in targets.items():
        data = read_table(folder / f"{name}.csv", target)
        assert data.rows == rows[name] == len(data.X)
        json.dumps(data.notes)
