"""The folder of a run: whose it is, and writing that leaves a whole file or none."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lossmith.core.errors import InputError

MARKER = "started.json"


def identity(sha256: str, target: str, task: str, metric: str, seed: int) -> dict[str, Any]:
    """Return what makes two commands the same run: data, question and seed; not the budget or the processes."""
    return {"data": sha256, "target": target, "task": task, "metric": metric, "seed": seed}


def fingerprint(value: Any) -> str:
    """Return a short hash of plain data.

    Parameters
    ----------
    value : JSON-able
        Dictionaries in any order of keys.

    Returns
    -------
    str
        20 hexadecimal digits.
    """
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def plain(value: Any) -> Any:
    """Turn records and NumPy values into what JSON has; numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool) or value is None:
        return value
    return str(value)


def write_json(path: Path, value: Any) -> None:
    """Write plain data or records as JSON, whole or not at all.

    Parameters
    ----------
    path : Path
        Where.
    value : JSON-able or record
        What.

    Raises
    ------
    InputError
        When the disk is full or the folder cannot be written.
    """
    write_text(path, json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Parameters
    ----------
    path : Path
        Where.
    text : str
        What; lone surrogates, which no file can hold, are written as "?".

    Raises
    ------
    InputError
        When the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode("utf-8", errors="replace"))
    except OSError as problem:
        raise unwritable(path, problem) from None


def _replace(path: Path, content: bytes) -> None:
    name = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        with name.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            name.unlink()
        raise


def unwritable(path: Path, problem: OSError) -> InputError:
    """Say in one line why something could not be written, and what to do."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"no space left to write {str(path)!r}; free some, or choose another --output and start again"
        )
    reason = problem.strerror or str(problem)
    return InputError(f"cannot write {str(path)!r}: {reason}; choose another --output")


def open_folder(folder: Path, who: dict[str, Any], version: str) -> bool:
    """Take possession of a run folder.

    Parameters
    ----------
    folder : Path
        The folder; made if it does not exist.
    who : dict
        From :func:`identity`.
    version : str
        lossmith's version, for the record.

    Returns
    -------
    bool
        True when the folder already holds this run, which then continues.

    Raises
    ------
    InputError
        When the folder belongs to another run, holds other things, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--output {str(folder)!r} is a file; give a folder")
        if (folder / MARKER).exists():
            _refuse_stranger(folder, who)
            _probe(folder)
            _sweep(folder)
            return True
        if folder.exists() and any(not _temporary(entry) for entry in folder.iterdir()):
            raise InputError(f"--output {str(folder)!r} is not empty and holds no run; choose a new or empty folder")
        return _found(folder, who, version)
    except OSError as problem:
        raise unwritable(folder, problem) from None


def _temporary(entry: Path) -> bool:
    return entry.name.startswith(f".{MARKER}.")  # left by a run killed while it made its marker


def _found(folder: Path, who: dict[str, Any], version: str) -> bool:
    made = _missing(folder)
    try:
        write_json(folder / MARKER, {"identity": who, "version": version})
    except InputError:
        for path in made:  # nothing half-made stays behind
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    return False


def _missing(folder: Path) -> list[Path]:
    """Folders that writing will have to make, deepest first."""
    missing = []
    for path in (folder, *folder.absolute().parents):
        if path.exists():
            break
        missing.append(path)
    return missing


def _sweep(folder: Path) -> None:
    """Remove what a killed run was writing."""
    for rest in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            rest.unlink()


def _probe(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def _refuse_stranger(folder: Path, who: dict[str, Any]) -> None:
    try:
        owner = json.loads((folder / MARKER).read_text(encoding="utf-8"))["identity"]
        different = [key for key in who if owner[key] != who[key]]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"--output {str(folder)!r}: {MARKER} is damaged; delete the folder or choose another"
        ) from None
    if not different:
        return
    what = different[0]
    was = "other data" if what == "data" else f"{what} {owner[what]!r} instead of {who[what]!r}"
    raise InputError(f"--output {str(folder)!r} holds another run ({was}); choose another folder, or delete that one")


def default_folder(path: Path, who: dict[str, Any]) -> Path:
    """Return where a run goes when nobody says: runs/<data name>, or beside it if that is taken.

    Parameters
    ----------
    path : Path
        The data file.
    who : dict
        From :func:`identity`.

    Returns
    -------
    Path
        The same for the same command, so that it continues.
    """
    stem = re.sub(r"[^\w.-]+", "-", path.name.partition(".")[0]).strip("-.") or "data"
    folder = Path("runs") / stem[:60]
    try:
        owner = json.loads((folder / MARKER).read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        owner = who if not folder.exists() else None
    return folder if owner == who else folder.with_name(f"{folder.name}-{fingerprint(who)[:8]}")


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Parameters
    ----------
    path : Path
        Which one.

    Returns
    -------
    Any
        Plain data.

    Raises
    ------
    InputError
        When it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} does not exist; give the folder of a finished run") from None
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot read {str(path)!r}: {problem}") from None
