"""What is drawn while a run goes on."""

from __future__ import annotations

import io
import math

import numpy as np

from lossmith.diagnose.monitors import live
from lossmith.diagnose.record import Facts, Record, Step


def record():
    return Record.of(
        Facts(),
        (
            Step(i, loss=math.nan if i == 99 else 1.0 / (i + 1), eval_loss=0.5 if i in (50, 80) else None)
            for i in range(100)
        ),
    )


def test_curves_share_one_axis_and_end_where_they_end():
    rows = {name: curve for name, curve, _ in live.lines(record(), width=68)}
    assert len(rows["loss"]) == 40
    assert rows["loss"][0] == "█"
    assert rows["loss"][-1] == "!"
    assert rows["eval_loss"] == " " * 20 + "▁" * 13


def test_nothing_and_nothing_finite():
    assert live.sparkline([]) == ""
    assert live.sparkline([math.nan, math.inf]) == "!!"
    assert live.sparkline([2.0, 2.0]) == "▁▁"
    assert live.sparkline([-1.0, 0.0, 1.0]) == "▁▅█"
    assert live.lines(Record()) == []


def test_a_terminal_is_redrawn_at_most_twice_a_second(monkeypatch):
    from rich.console import Console

    now = [100.0]
    monkeypatch.setattr("lossmith.diagnose.monitors.live.time.monotonic", lambda: now[0])
    screen = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    shown = live.Terminal(screen)
    sizes = []
    for _ in range(20):
        shown.update(record())
        sizes.append(len(screen.file.getvalue()))
        now[0] += 0.1
    shown.close(record())
    assert len(set(sizes)) == 4
    assert "eval_loss" in screen.file.getvalue()


def test_a_picture_marks_where_the_loss_is_no_longer_finite():
    drawn = live.curves(record())
    upper = drawn.axes[0]
    assert [line.get_label() for line in upper.lines] == ["training loss", "training loss not finite", "held-out loss"]
    np.testing.assert_array_equal(upper.lines[1].get_xdata(), [99, 99])


def test_a_picture_hides_no_number():
    def drawn(*rows):
        return live.curves(Record.of(Facts(), [Step(i, loss=a, eval_loss=b) for i, (a, b) in enumerate(rows)]))

    # A held-out loss below 0 beside a training loss above it.
    assert drawn((2.0, 1.0), (1.0, -1.0)).axes[0].get_yscale() == "linear"
    assert drawn((2.0, 1.0), (1.0, 0.5)).axes[0].get_yscale() == "log"
    # One value alone is a dot, and what was not recorded takes no place.
    (only,) = drawn((2.0, None)).axes
    assert [line.get_marker() for line in only.lines] == ["."]
    assert live.curves(Record()).axes == []


def test_no_drawing_into_a_pipe_unless_asked():
    assert isinstance(live.screen(None), live.Nothing)
    assert isinstance(live.screen(False), live.Nothing)
    assert isinstance(live.screen(True), live.Terminal)
