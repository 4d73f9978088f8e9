"""Write pictures: whole or not at all, and the same bytes for the same picture."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_DPI = 160
# Text stays text in an SVG (small, searchable, the reader's own fonts); ids come from the content.
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "lossmith"}


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a picture file.

    Parameters
    ----------
    figure : Figure
        What to draw.
    kind : {"png", "svg"}
        The format.

    Returns
    -------
    bytes
        The file's content; equal for equal figures.

    Raises
    ------
    ValueError
        For another format.
    """
    if kind not in FORMATS:
        raise ValueError(f"pictures are written as {' or '.join(FORMATS)}, not {kind!r}")
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": "lossmith"}
    with matplotlib.rc_context(_SVG), warnings.catch_warnings():
        # A column's name may hold letters the font lacks: a box in the picture, no noise on the screen.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a PNG or SVG file, atomically.

    Parameters
    ----------
    figure : Figure
        What to draw.
    path : path
        Ends in ``.png`` or ``.svg``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        For another ending.
    OSError
        When the folder does not exist or cannot be written; nothing is left behind.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ValueError(f"{target.name!r} must end in .png or .svg")
    write_atomically(target, render(figure, kind))
    return target


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it.

    Parameters
    ----------
    target : Path
        The file.
    content : bytes
        What it will hold.

    Raises
    ------
    OSError
        As from the system; the temporary file is removed.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def write_output(target: Path, content: bytes) -> None:
    """Write a file that a user asked for, as `write_atomically` does.

    Parameters
    ----------
    target : Path
        The file.
    content : bytes
        What it will hold.

    Raises
    ------
    InputError
        One line, when it cannot be written, such as on a full disk.
    """
    from ..core.errors import InputError

    try:
        write_atomically(target, content)
    except OSError as problem:
        raise InputError(f"cannot write {str(target)!r}: {problem.strerror or problem}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
