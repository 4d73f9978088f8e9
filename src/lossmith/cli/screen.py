"""Where and how the commands print: colours on a terminal only, lines that fit."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 100


def console(stderr: bool = False) -> Console:
    """Return a console for stdout or stderr.

    Parameters
    ----------
    stderr : bool
        Print there instead of stdout.

    Returns
    -------
    Console
        Plain text and 100 columns (or ``COLUMNS``) when the output is no terminal; no colours with ``NO_COLOR``.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    asked = os.environ.get("COLUMNS", "")
    width = None if terminal else int(asked) if asked.isdigit() and int(asked) > 0 else _PIPE_WIDTH
    return Console(
        stderr=stderr,
        width=width,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )
