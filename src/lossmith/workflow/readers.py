"""Read a table from a file, and refuse what a reader would otherwise quietly repair.

pandas pads short rows, renames repeated headers and turns bad bytes into other characters: each changes the data
without a word, so each is caught here first.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossmith.core.errors import InputError
from lossmith.select.columns import quoted

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_MISSING = ["?", "."]  # besides those that pandas knows: the habits of UCI and of SAS
EXTENSIONS = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If there is no such file, it is a folder, cannot be read, is empty, or its extension is unknown.
    """
    name = quoted(path, 200)
    try:
        folder, there, plain = path.is_dir(), path.exists(), path.is_file()
        content = path.read_bytes() if plain else b""
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{name} cannot be read: {reason}; check its permissions") from error
    if folder:
        raise InputError(f"{name} is a folder; give a file in it ({_accepted()})")
    if not there:
        raise InputError(f"there is no file {name}; check the path (looked in {quoted(path.absolute().parent, 200)})")
    if path.suffix.lower() not in EXTENSIONS:
        raise InputError(f"{name} has an unknown extension {quoted(path.suffix)}; give {_accepted()}")
    if not plain:
        raise InputError(f"{name} is no regular file; copy its content into one")
    if not content.strip():
        raise InputError(f"{name} is empty; give a file with a header and rows")
    return content


def _accepted() -> str:
    return ".csv, .tsv, .parquet or .jsonl"


def parse(content: bytes, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Parse the bytes of a file by its extension.

    Parameters
    ----------
    content : bytes
        The whole file.
    path : Path
        Its name, for the extension and for messages.

    Returns
    -------
    frame : pandas.DataFrame
        At least one row; column names are text and differ.
    notes : list of str
        What was done that the file did not say.

    Raises
    ------
    InputError
        If the content is no such table.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parse_parquet(content, path)
    text = _decode(content, path)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _parse_json_lines(text, path)
    return _parse_delimited(text, path, "\t" if suffix in (".tsv", ".tab") else None)


def _decode(content: bytes, path: Path) -> str:
    if b"\0" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{quoted(path, 200)} is binary, not text; export it as CSV, or rename it to its true format")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
        raise InputError(
            f"{quoted(path, 200)} is not UTF-8: byte {content[at]:#04x} at offset {at} (line "
            f"{content.count(10, 0, at) + 1}); save it again as UTF-8, for example "
            f"iconv -f {_likely_encoding(content)} -t UTF-8 FILE > NEW"
        ) from error


def _likely_encoding(content: bytes) -> str:
    return "UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"


def refuse_repeats(names: list[str], path: Path) -> None:
    """Refuse a header that says the same name twice.

    Parameters
    ----------
    names : list of str
        The header.
    path : Path
        The file, for the message.

    Raises
    ------
    InputError
        If a name repeats.
    """
    first: dict[str, int] = {}
    for at, name in enumerate(names, 1):
        if name in first:
            raise InputError(
                f"{quoted(path, 200)} has the column name {quoted(name)} twice (columns {first[name]} and {at}); "
                "rename one of them"
            )
        first[name] = at


# ---- CSV and TSV ---------------------------------------------------------------------------------------------


def _parse_delimited(text: str, path: Path, delimiter: str | None) -> tuple[pd.DataFrame, list[str]]:
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    mark = delimiter or max(_DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign))))
    names, decimal = _check_rows(text, path, mark)
    notes = [] if mark in (",", delimiter) else [f"columns are separated by {mark!r}"]
    notes += ["numbers are written with a decimal comma"] if decimal == "," else []
    return _read_delimited(text, path, mark, names, decimal), notes


def _check_rows(text: str, path: Path, mark: str) -> tuple[list[str], str]:
    """Check that every row is as wide as the header; return the names and the decimal sign."""
    rows = _rows(text, path, mark)
    _, header = next(rows)
    names = [name or f"column {at}" for at, name in enumerate((n.strip() for n in header), 1)]
    refuse_repeats(names, path)
    commas = points = count = 0
    for line, row in rows:
        count += 1
        if len(row) != len(names):
            raise InputError(
                f"{quoted(path, 200)} is ragged: line {line} has {len(row)} fields, the header has {len(names)}; "
                "correct that line (quote a field that contains the separator)"
            )
        if mark == ";" and count <= 1000:
            commas += sum(_decimal(cell, ",") for cell in row)
            points += sum(_decimal(cell, ".") for cell in row)
    if not count:
        raise InputError(f"{quoted(path, 200)} has a header and no rows; give a file with rows")
    return names, "," if commas and not points else "."


def _decimal(cell: str, sign: str) -> bool:
    whole, found, rest = cell.strip().lstrip("-").partition(sign)
    return bool(found) and whole.isdecimal() and rest.isdecimal()


def _rows(text: str, path: Path, mark: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{quoted(path, 200)} cannot be read near line {reader.line_num}: {error}; "
            "look for a quote that is never closed"
        ) from error


def _read_delimited(text: str, path: Path, mark: str, names: list[str], decimal: str) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(
            io.StringIO(text, newline=""),
            sep=mark,
            names=names,
            header=0,
            index_col=False,
            decimal=decimal,
            skipinitialspace=True,
            na_values=_MISSING,
            low_memory=False,
        )
    except pd.errors.ParserError as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. ")
        raise InputError(
            f"{quoted(path, 200)} cannot be read: {reason}; look for a quote that is never closed"
        ) from error


# ---- JSON lines ----------------------------------------------------------------------------------------------


def _parse_json_lines(text: str, path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    rows = [_json_row(line, number, path) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    short = sum(len(row) < len(names) for row in rows)
    frame = pd.DataFrame({name: pd.Series([row.get(name) for row in rows]) for name in names})
    return frame, [f"{short} of {len(rows)} rows lack some key; taken as missing values"] if short else []


def _json_row(line: str, number: int, path: Path) -> dict[str, Any]:
    where = f"{quoted(path, 200)}, line {number}"

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{where} has the key {quoted(twice)} twice; rename one of them")
        return row

    try:
        row = json.loads(line, object_pairs_hook=once)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON but no text
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where} is not JSON: {reason}; write one object per line (JSON lines)") from error
    if not isinstance(row, dict) or not row:
        raise InputError(f"{where} is no object with keys; write one object per line (JSON lines)")
    nested = next((name for name, value in row.items() if isinstance(value, dict | list)), None)
    if nested is not None:
        raise InputError(f"{where} nests a value under {quoted(nested)}; give one value per key (flatten or drop it)")
    return row


# ---- Parquet -------------------------------------------------------------------------------------------------


def _parse_parquet(content: bytes, path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        refuse_repeats(list(file.schema_arrow.names), path)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        reason = quoted(str(error).split("\n")[0], 120)
        raise InputError(f"{quoted(path, 200)} is no readable Parquet file: {reason}; write it again") from error
    if not table.num_rows or not table.num_columns:
        raise InputError(f"{quoted(path, 200)} has no rows; give a file with rows")
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise InputError(
            f"{quoted(path, 200)} nests values in column {quoted(nested[0])}; "
            "give one value per cell (flatten or drop it)"
        )
    frame = table.to_pandas(ignore_metadata=True)
    unnamed = [name for name in frame.columns if name.startswith("__index_level_")]
    return frame.drop(columns=unnamed), ["the unnamed row index is left out"] if unnamed else []
