"""A run writes each cell down, continues where it stopped, and refuses what it does not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lossmith as lm
from lossmith.bench import apart, machine, run
from lossmith.bench.measure import Effort
from lossmith.bench.record import Cell, Results, read, write
from lossmith.bench.run import Benchmark, Settings, begin, choose, plan


class Silent:
    """Counts what it is told, and can stop the run."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.cells: list[str] = []
        self.planned = (0, 0)
        self._stop_after = stop_after

    def started(self, total: int, done: int) -> None:
        self.planned = (total, done)

    def doing(self, what: str) -> None:
        pass

    def measured(self, cell: Cell) -> None:
        self.cells.append(cell.key)
        if len(self.cells) >= self._stop_after:
            raise KeyboardInterrupt

    def advanced(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "QUICK", Effort(0.0, least=1, most=1, few=1))


def tiny(*families: str, peers: tuple[str, ...] = ("numpy",)) -> Settings:
    return choose(families or ("mse",), sizes=[10, 20], chosen_peers=peers, threads=1)


def test_a_run_keeps_every_cell_and_can_be_read_again(tmp_path: Path) -> None:
    settings = tiny()
    progress = Silent()
    results = Benchmark(settings, begin(settings, "x", tmp_path, False), tmp_path, progress).run()
    assert results.finished
    assert [cell.key for cell in results.cells] == progress.cells
    assert len(progress.cells) == len(plan(settings)) == 4
    assert read(tmp_path) == results
    assert [peer.name for peer in results.peers if peer.version] == ["numpy"]
    assert all(timing.status == "timed" for cell in results.cells for timing in cell.timings)
    json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))


def test_an_interrupted_run_continues_where_it_stopped(tmp_path: Path) -> None:
    settings = tiny()
    stopped = Benchmark(settings, begin(settings, "x", tmp_path, False), tmp_path, Silent(stop_after=3))
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    kept = read(tmp_path)
    assert kept is not None
    assert not kept.finished
    assert len(kept.cells) == 3
    progress = Silent()
    results = Benchmark(settings, begin(settings, "x", tmp_path, True), tmp_path, progress).run()
    assert progress.planned == (4, 3)
    assert len(progress.cells) == 1
    assert results.cells[:3] == kept.cells
    assert results.finished


def test_without_resume_everything_is_measured_anew(tmp_path: Path) -> None:
    settings = tiny()
    Benchmark(settings, begin(settings, "x", tmp_path, False), tmp_path, Silent()).run()
    assert begin(settings, "x", tmp_path, False).cells == ()
    assert len(begin(settings, "x", tmp_path, True).cells) == 4


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    settings = tiny()
    write(begin(settings, "x", tmp_path, False), tmp_path)
    with pytest.raises(lm.InputError, match="other peers"):
        begin(tiny(peers=("sklearn",)), "x", tmp_path, True)
    old = begin(settings, "x", tmp_path, False)
    write(replace(old, versions={**old.versions, "numpy": "1.0"}), tmp_path)
    with pytest.raises(lm.InputError, match="versions of packages"):
        begin(settings, "x", tmp_path, True)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"format": 0}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(lm.InputError, match="cannot continue"):
        begin(tiny(), "x", tmp_path, True)


def test_a_record_survives_json(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


def test_a_loss_that_is_not_built_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossmith.bench.peers import ours

    def missing(work: Any) -> Any:
        raise ValueError("no loss is called 'mse'")

    monkeypatch.setattr(ours, "contenders", missing)
    settings = tiny()
    results = Benchmark(settings, begin(settings, "x", tmp_path, False), tmp_path, Silent()).run()
    first = results.cells[0].timings[0]
    assert (first.contender, first.status, first.note) == ("lossmith", "skipped", "no loss is called 'mse'")
    assert results.cells[0].best("numpy") is not None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"families": ["hubert"]}, ["hubert", "Did you mean 'huber'", "bce"]),
        ({"dtypes": ["float16"]}, ["float16", "float32"]),
        ({"chosen_peers": ["tourch"]}, ["tourch", "'torch'"]),
        ({"threads": 0}, ["--threads 0"]),
        ({"threads": 10**6}, ["--threads 1000000", "1 to"]),
        ({"sizes": [0]}, ["--sizes 0"]),
    ],
)
def test_what_is_not_known_is_named(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(lm.InputError) as refused:
        choose(**given)
    for word in words:
        assert word in str(refused.value)


def test_a_full_run_has_the_shapes_of_the_bars() -> None:
    from lossmith.bench.bars import SIX
    from lossmith.bench.record import cell_key

    keys = {cell_key(family.name, *rest) for family, *rest in plan(choose(quick=False, threads=1))}
    for name in SIX:
        for dtype in ("float64", "float32"):
            assert cell_key(name, "gradient", dtype, (4_000_000,)) in keys
            assert cell_key(name, "hessian", dtype, (4_000_000,)) in keys
    for key in (
        "bce|value|float64|100",
        "bce|value|float64|10000",
        "cce|gradient|float32|100000x10",
        "cce|gradient|float32|20000x1000",
        "cce|gradient|float32|2048x32000",
        "linear_cross_entropy|gradient|float32|4096x512x32000",
        "ctc|gradient|float32|200x16x40x30",
        "ctc|gradient|float32|500x32x1000x50",
        "triplet|gradient|float32|512x128x16",
        "nt_xent|gradient|float32|4096x128",
    ):
        assert key in keys


def test_threads_are_held_and_given_back() -> None:
    import numba

    before, allowed = numba.get_num_threads(), machine.available_threads()
    with machine.held_to(1):
        assert numba.get_num_threads() == 1
        assert machine.available_threads() == 1
    assert (numba.get_num_threads(), machine.available_threads()) == (before, allowed)


# --- in processes of their own ------------------------------------------------------------------------------


def test_compile_times_come_from_an_empty_cache(results: Results) -> None:
    pytest.importorskip("numba")
    task = apart.CompileTask("huber", 1)
    found = task.run(replace(results, compilations=()))["compilations"]
    assert [(entry.operation, entry.dtype) for entry in found] == apart._kernels("huber")
    assert all(entry.cold > entry.cached for entry in found)  # a compiler takes longer than reading a file
    assert all(entry.warm > 0.0 for entry in found)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a single call")
def test_peak_memory_is_that_of_the_call(results: Results) -> None:
    n = 4_000_000
    task = apart.MemoryTask("numpy", (("mse", "float64", (n,)),), 1)
    (found,) = task.run(replace(results, memory=(), notes=()))["memory"]
    assert found.results == 2 * 8 * n  # value and gradient
    assert found.problem == 8 * n
    assert 0.95 * found.results < found.peak < 2.0 * found.results  # and a temporary or two
    assert found.extra == found.peak - found.results


def test_a_child_that_dies_is_a_note(results: Results) -> None:
    task = apart.MemoryTask("numpy", (("no such loss", "float64", (1,)),), 1)
    changed = task.run(replace(results, memory=(), notes=()))
    assert changed["memory"] == ()
    assert changed["notes"][0].startswith("peak memory of numpy: ended with code 1: KeyError")


# --- from the command line ----------------------------------------------------------------------------------


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    source = str(Path(__file__).resolve().parents[2] / "src")
    return subprocess.run(
        [sys.executable, "-m", "lossmith.cli", "bench", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": source, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hubert"], ["hubert", "huber"]),
        (["--sizes", "many"], ["--sizes", "many"]),
        (["--dtype", "float8"], ["float8"]),
        (["--peers", "jaxx"], ["jaxx"]),
        (["--threads", "some"], ["--threads"]),
        (["--output", "file/x"], ["--output"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_command_prints_cells_and_bars_and_leaves_page_and_facts(tmp_path: Path) -> None:
    done = bench("mse", "--sizes", "100,1e4", "--peers", "numpy", "--threads", "1", "-o", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mse 10,000 float64 value:" in done.stdout
    assert "10 us a call" in done.stdout
    assert sorted(entry.name for entry in (tmp_path / "here").iterdir()) == ["bench.html", "results.json"]
    assert "\x1b" not in done.stdout


def test_json_is_all_that_is_on_stdout(tmp_path: Path) -> None:
    done = bench("mae", "--sizes", "50", "--peers", "numpy", "--threads", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert {cell["family"] for cell in facts["cells"]} == {"mae"}
    assert (tmp_path / "runs" / "bench" / "bench.html").exists()
