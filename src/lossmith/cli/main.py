"""The ``lossmith`` command: its commands, and the one place where errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .._version import __version__
from . import bench as bench_command
from . import compare as compare_command
from . import diagnose as diagnose_command
from . import fit as fit_command
from . import list as list_command
from . import parity as parity_command
from . import plot as plot_command
from . import predict as predict_command
from . import run as run_command
from . import show as show_command
from . import translate as translate_command
from . import watch as watch_command

# Typer carries its own click since 0.16 and used the package before; both have this ancestry.
ClickError: type[Exception] = typer.BadParameter.__mro__[2]

INTERRUPTED = 130

app = typer.Typer(
    name="lossmith",
    help="Choose a loss, trust it, train with it, and find out why training goes wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command.run)
app.command("fit")(fit_command.fit)
app.command("compare")(compare_command.compare)
app.command("predict")(predict_command.predict)
app.command("list")(list_command.list_losses)
app.command("show")(show_command.show)
app.command("diagnose")(diagnose_command.diagnose)
app.command("plot")(plot_command.plot)
app.command("translate")(translate_command.translate)
app.command("watch")(watch_command.watch)
app.command("bench")(bench_command.bench)
app.command("parity")(parity_command.parity)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lossmith {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Choose a loss, trust it, train with it, and find out why training goes wrong."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of the process's own.

    Raises
    ------
    SystemExit
        0 for success, 2 for what the user can put right, 130 for Ctrl-C.
    """
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(args=arguments, prog_name="lossmith", standalone_mode=False)
        if isinstance(code, int) and code == INTERRUPTED:
            return _interrupted()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except ClickError as problem:
        return _usage(problem)
    except BrokenPipeError:
        # Whoever read our output (head, less) has left; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as problem:
        if os.environ.get("LOSSMITH_TRACEBACK"):
            raise
        return _fail(str(problem))


def _usage(problem: Exception) -> int:
    message = getattr(problem, "message", "")
    if not message and not str(problem):  # no command was given: help was printed
        return 0
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "lossmith"
    text = problem.format_message()  # type: ignore[attr-defined]
    return _fail(f"{text.rstrip('.')}; see '{command} --help'")


def _interrupted() -> int:
    print("lossmith: interrupted", file=sys.stderr)
    return INTERRUPTED


def _fail(message: str) -> int:
    line = " ".join(message.split())
    print(f"lossmith: {line}", file=sys.stderr)
    return 2
