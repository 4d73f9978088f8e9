"""Threads: how many are used, and that nobody else's number changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from lossmith.engine import pool

pytest.importorskip("numba")

COUNT = """
import numba
from lossmith.engine import pool

print(pool.threads())
try:
    print("numba has", numba.threading_layer())
except ValueError:
    print("numba has none")
numba.set_num_threads(2)
print(pool.threads())
"""
OF_TORCH = """
import numba, torch
import lossmith as lm

torch.set_num_threads(3)
lm.BinaryCrossEntropy()(torch.ones(200_000), torch.zeros(200_000))
print(torch.get_num_threads())
if {control}:
    numba.get_num_threads()
    print(torch.get_num_threads())
"""


def run(script: str) -> list[str]:
    """What a script prints in a process of its own, in which numba has started no threads yet."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_threads_follow_numba_without_starting_its_threads() -> None:
    assert run(COUNT) == ["4", "numba has none", "2"]


def test_a_kernel_leaves_the_number_of_torchs_threads_alone() -> None:
    pytest.importorskip("torch")
    assert run(OF_TORCH.format(control=False)) == ["3"]


def test_asking_numba_would_not_have() -> None:
    """The control: where numba and torch share OpenMP, numba's question changes torch's number."""
    pytest.importorskip("torch")
    before, after = run(OF_TORCH.format(control=True))
    if before == after:
        pytest.skip("numba's threads here are not torch's")
    assert (before, after) == ("3", "4")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "threads", lambda: 2)


@pytest.mark.usefixtures("two")
def test_turns_cover_everything_once_in_the_same_pieces() -> None:
    for count, pieces in ((0, [(0, 0)]), (5, [(0, 5)]), (25, [(0, 12), (12, 25)]), (30, [(0, 10), (10, 20), (20, 30)])):
        done: list[tuple[int, int]] = []
        pool.take_turns(count, lambda *edges, done=done: done.append(edges), 10)
        assert sorted(done) == pieces


@pytest.mark.usefixtures("two")
def test_nobody_waits_for_a_thread_that_has_not_begun() -> None:
    """The only other thread is busy until all is done; ``share`` would wait for it."""
    free, done = threading.Event(), []
    busy = pool._pool(1).submit(free.wait, 60.0)
    pool.take_turns(100, lambda start, stop: done.append(start), 1)
    assert len(done) == 100
    assert not busy.done()
    free.set()
    assert busy.result()


@pytest.mark.usefixtures("two")
def test_a_fault_ends_the_turns() -> None:
    done: list[int] = []

    def work(start: int, stop: int) -> None:
        done.append(start)
        raise IndexError(f"row {start}")

    with pytest.raises(IndexError, match="row"):
        pool.take_turns(100, work, 1)
    assert len(done) <= 2
