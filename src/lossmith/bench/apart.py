"""What needs a process of its own: compile times with an empty cache, and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .bars import SIX
from .families import ELEMENTWISE, FAMILIES, GRADIENT, HESSIAN, Shape
from .peers import ENTRANTS
from .record import OURS, Compilation, Memory, Results
from .run import Settings

_PATIENCE = 240.0
# Family, precision and shape whose memory is measured: the largest of each kind of work, and where it must
# not grow too fast a second one.
MEMORY_OF: tuple[tuple[str, str, Shape], ...] = (
    ("bce", "float64", (4_000_000,)),
    ("cce", "float32", (2_048, 32_000)),
    ("dice", "float32", (16, 512, 512)),
    ("ctc", "float32", (500, 32, 1_000, 50)),
    ("triplet", "float32", (512, 128, 16)),
    ("triplet", "float32", (1_024, 128, 16)),
    ("contrastive", "float32", (4_096, 128, 16)),
    ("nt_xent", "float32", (2_048, 128)),
    ("nt_xent", "float32", (4_096, 128)),
    ("linear_cross_entropy", "float32", (4_096, 512, 32_000)),
)
# glibc keeps what is freed unless every larger block is given back at once; then peaks would not show.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


class Task(Protocol):
    """A measurement in a process of its own."""

    @property
    def title(self) -> str:
        """For the screen."""

    def run(self, results: Results) -> dict[str, Any]:
        """Measure, and return the fields of the results that change."""


def tasks(settings: Settings) -> list[Task]:
    """Return what is to be measured apart, in order.

    Parameters
    ----------
    settings : Settings
        Of the run.
    """
    chosen = [case for case in MEMORY_OF if case[0] in settings.families]
    compile_tasks: list[Task] = [CompileTask(name, settings.threads) for name in settings.families]
    who = (OURS, *settings.peers) if chosen else ()
    return compile_tasks + [MemoryTask(name, tuple(chosen), settings.threads) for name in who]


@dataclass(frozen=True)
class CompileTask:
    """First calls of a family's kernels: with an empty cache, and again in a second process."""

    family: str
    threads: int

    @property
    def title(self) -> str:
        """For the screen."""
        return f"compile time of {FAMILIES[self.family].title}"

    def run(self, results: Results) -> dict[str, Any]:
        """Measure, and return the fields of the results that change."""
        with tempfile.TemporaryDirectory(prefix="lossmith-bench-") as folder:
            cache = {"LOSSMITH_CACHE_DIR": folder}
            asked = {"family": self.family, "threads": self.threads, "kernels": _kernels(self.family)}
            first, problem = _child("compile", asked, cache)
            second, problem = _child("compile", asked, cache) if not problem else ([], problem)
        if problem:
            return {"notes": (*results.notes, f"{self.title}: {problem}")}
        found = [
            Compilation(
                self.family,
                cold["operation"],
                cold["dtype"],
                max(0.0, cold["first"] - cold["warm"]),
                max(0.0, cached["first"] - cached["warm"]),
                cold["warm"],
            )
            for cold, cached in zip(first, second, strict=True)
        ]
        return {"compilations": (*results.compilations, *found)}


def _kernels(name: str) -> list[tuple[str, str]]:
    if FAMILIES[name].tier != ELEMENTWISE:
        return [(GRADIENT, "float32")]
    return [(GRADIENT, "float64"), *([(GRADIENT, "float32"), (HESSIAN, "float64")] if name in SIX else [])]


@dataclass(frozen=True)
class MemoryTask:
    """Peak memory of one contender on the largest cases."""

    contender: str
    cases: tuple[tuple[str, str, Shape], ...]
    threads: int

    @property
    def title(self) -> str:
        """For the screen."""
        return f"peak memory of {self.contender}"

    def run(self, results: Results) -> dict[str, Any]:
        """Measure, and return the fields of the results that change."""
        if self.contender != OURS and ENTRANTS[self.contender].version() is None:
            return {}
        found: list[Memory] = []
        notes: list[str] = []
        for cases in self._groups():
            asked = {"contender": self.contender, "cases": cases, "threads": self.threads}
            lines, problem = _child("memory", asked, _GIVE_BACK)
            found += [Memory(**{**line, "shape": tuple(line["shape"])}) for line in lines]
            notes += [f"{self.title}: {problem}"] if problem else []
        return {"memory": (*results.memory, *found), "notes": (*results.notes, *notes)}

    def _groups(self) -> list[tuple[tuple[str, str, Shape], ...]]:
        """Return the cases of each process."""
        alone = self.contender != OURS and ENTRANTS[self.contender].hoards
        return [(case,) for case in self.cases] if alone else [self.cases]


def _child(kind: str, asked: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[list[Any], str]:
    """Run a measurement in a new process; return its lines, and why it did not end well."""
    command = [sys.executable, "-m", "lossmith.bench.child", kind, json.dumps(asked)]
    try:
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as late:
        return _lines(late.stdout), f"stopped after {_PATIENCE:.0f} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return _lines(done.stdout), f"ended with code {done.returncode}: {last[:200]}"
    return _lines(done.stdout), ""


def _lines(text: str | bytes | None) -> list[Any]:
    given = text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""
    return [json.loads(line) for line in given.splitlines() if line.startswith("{") and line.endswith("}")]
