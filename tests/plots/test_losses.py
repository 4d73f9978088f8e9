"""Pictures of losses show the losses' own numbers."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.plots.losses import broken, grid, label_of, plot
from lossmith.plots.slices import MARGIN, PROBABILITY, slice_of

RESIDUAL_LOSSES = ["mse", "mae", "huber(delta=1.35)", "log_cosh", "tukey", "quantile(q=0.9)"]


def curves(figure: object, panel: int) -> list[tuple[np.ndarray, np.ndarray]]:
    axes = figure.axes[panel]  # type: ignore[attr-defined]
    return [
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines if len(line.get_xdata()) > 2
    ]


@pytest.mark.parametrize("y", [0.0, 2.5])
def test_lines_of_residual_losses_are_the_formulas(y: float) -> None:
    losses = [lm.get(name) for name in RESIDUAL_LOSSES]
    figure = plot(*losses, y=y)
    for panel, order in enumerate(("value", "slope", "curvature")):
        lines = curves(figure, panel)
        assert len(lines) == len(losses)
        for (x, drawn), loss in zip(lines, losses, strict=True):
            formula = getattr(loss.form, order)
            expected = formula(np.full_like(x, y), y + x, *loss.parameters)
            shown = np.isfinite(drawn)
            assert shown.mean() > 0.99
            np.testing.assert_allclose(drawn[shown], expected[shown], rtol=1e-12, atol=1e-15)


def test_a_wrong_line_would_be_noticed() -> None:
    (x, drawn), *_ = curves(plot("huber(delta=1.0)"), 0)
    assert not np.allclose(drawn, lm.Huber(delta=1.1)(np.zeros_like(x), x, reduction="none"))


def test_margin_losses_stand_on_the_margin_and_hinge_is_not_drawn_over_probabilities() -> None:
    figure = plot("hinge", "squared_hinge", "bce", "cce")
    lines = curves(figure, 0)
    x, hinge = lines[0]
    np.testing.assert_allclose(hinge, np.maximum(0.0, 1.0 - x), atol=1e-12)
    assert x.min() < -1
    assert x.max() > 1
    np.testing.assert_allclose(lines[2][1], np.logaddexp(0.0, -lines[2][0]), rtol=1e-12)
    np.testing.assert_allclose(lines[3][1], np.logaddexp(0.0, -lines[3][0]), rtol=1e-9)


@pytest.mark.parametrize(("name", "negative"), [("bce", 0.0), ("hinge", -1.0), ("focal", 0.0)])
def test_both_classes_give_one_picture_by_the_margin(name: str, negative: float) -> None:
    x = np.linspace(-2, 2, 41)
    one, other = slice_of(lm.get(name)), slice_of(lm.get(name), negative)
    for order in ("value", "gradient", "curvature"):
        np.testing.assert_allclose(getattr(one, order)(x), getattr(other, order)(x), rtol=1e-12, atol=1e-15)


def test_axes_follow_what_a_loss_takes() -> None:
    assert slice_of(lm.get("bce")).axis == MARGIN
    assert slice_of(lm.get("bce(inputs='probabilities')")).axis == PROBABILITY
    assert "target 3" in slice_of(lm.get("poisson_nll")).axis
    assert slice_of(lm.get("poisson_nll(inputs='rate')")).low > 0


def test_gradients_drawn_are_slopes_of_the_values_drawn() -> None:
    for name in ("bce", "focal", "squared_hinge", "poisson_nll", "log_cosh", "cce"):
        part = slice_of(lm.get(name))
        x = np.linspace(part.low, part.high, 23)
        numeric = (part.value(x + 1e-5) - part.value(x - 1e-5)) / 2e-5
        np.testing.assert_allclose(part.gradient(x), numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("names", [("mse", "hinge"), ("bce", "bce(inputs='probabilities')")])
def test_losses_without_a_common_axis_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="draw them in two pictures"):
        plot(*names)


@pytest.mark.parametrize("name", ["ctc", "triplet", "dice"])
def test_structured_losses_are_refused_with_a_reason(name: str) -> None:
    with pytest.raises(ValueError, match="no single axis"):
        plot(name)


def test_no_loss_and_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one loss"):
        plot()
    with pytest.raises(ValueError, match="no class"):
        plot("bce", y=0.3)


def test_jumps_are_gaps_and_slopes_are_not() -> None:
    x = grid(-3.0, 3.0, (0.0,))
    assert np.isnan(broken(x, np.sign(x))).any()
    assert not np.isnan(broken(x, 50 * x)).any()
    assert not np.isnan(broken(x, np.full_like(x, 2.0))).any()
    assert np.all(np.diff(x) > 0)


def test_every_line_has_its_own_style_and_axes_have_labels() -> None:
    figure = plot(*RESIDUAL_LOSSES)
    styles = {(line.get_color(), str(line._dash_pattern)) for line in figure.axes[0].lines if len(line.get_xdata()) > 2}
    assert len(styles) == len(RESIDUAL_LOSSES)
    assert all(axes.get_ylabel() and axes.get_title(loc="left") for axes in figure.axes)
    assert "target's unit" in figure.get_supxlabel()


@pytest.mark.parametrize("names", [RESIDUAL_LOSSES, ["bce", "hinge", "squared_hinge", "focal"], ["poisson_nll"]])
def test_every_line_is_in_sight_in_every_panel(names: list[str]) -> None:
    figure = plot(*names)
    for panel, axes in enumerate(figure.axes):
        low, high = axes.get_ylim()
        for _, drawn in curves(figure, panel):
            inside = (drawn >= low) & (drawn <= high)
            off_zero = inside & (drawn != 0.0)
            assert off_zero.any() or not np.nan_to_num(drawn).any()


def test_the_kink_is_marked_in_the_curvature() -> None:
    def words(name: str) -> str:
        return " ".join(text.get_text() for text in plot(name).axes[2].texts)

    assert "kink" in words("mae")
    assert "kink" not in words("mse")


def test_labels_tell_the_numbers() -> None:
    assert label_of(lm.Huber(delta=1.5)) == "Huber(delta=1.5)"
    assert label_of(lm.MeanSquaredError()) == "MeanSquaredError"


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    plot("mse").savefig(__import__("io").BytesIO(), format="svg")
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not __import__("matplotlib.pyplot").pyplot.get_fignums()
