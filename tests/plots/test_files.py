"""Pictures on disk and in pages: whole, repeatable, harmless."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from lossmith.plots.calibration import plot_calibration
from lossmith.plots.curves import plot_curves
from lossmith.plots.files import render, save
from lossmith.plots.losses import plot
from lossmith.plots.predictions import plot_predictions
from lossmith.plots.scores import plot_scores
from lossmith.plots.svg import inline
from lossmith.plots.target import plot_classes, plot_numbers
from run_record import NASTY, classes, example


def test_png_and_svg_are_written(tmp_path: Path) -> None:
    png, svg = save(plot("mse"), tmp_path / "a.png"), save(plot("mse"), tmp_path / "a.SVG")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ET.parse(svg).getroot().tag.endswith("}svg")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.SVG", "a.png"]


def test_equal_pictures_are_equal_bytes() -> None:
    assert render(plot("mse"), "svg") == render(plot("mse"), "svg")
    assert render(plot("mse"), "svg") != render(plot("mae"), "svg")


def test_failures_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must end in"):
        save(plot("mse"), tmp_path / "a.gif")
    with pytest.raises(OSError, match="No such file"):
        save(plot("mse"), tmp_path / "no" / "a.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(plot("mse"), tmp_path / "taken.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.png"]


def test_hostile_names_are_text_in_a_picture() -> None:
    figures = [
        plot_numbers([1.0, 2.0, 3.0], NASTY, 2.0, None),
        plot_classes([NASTY, "日本"], [1, 2], NASTY),
        plot_predictions([1.0, 2.0], [1.0, 2.5], NASTY),
        plot_scores([example()["evaluation"]["scores"][0] | {"label": NASTY}], NASTY, 0),
        plot_curves([example()["curves"][0] | {"label": NASTY}]),
    ]
    for figure in figures:
        root = ET.fromstring(inline(figure, NASTY.replace("\x00", "").replace("\x1b", ""), "d", "p"))
        names = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert "script" not in names
        assert any("<script>" in (element.text or "") for element in root.iter())


def test_two_pictures_in_one_page_share_no_id_and_keep_their_references() -> None:
    texts = [inline(plot("mse", "mae"), "t", "d", prefix) for prefix in ("a", "b")]
    ids = [{e.attrib["id"] for e in ET.fromstring(text).iter() if "id" in e.attrib} for text in texts]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, known in zip(texts, ids, strict=True):
        import re

        used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
        assert used
        assert used <= known


def test_the_page_decides_ink_and_paper() -> None:
    text = inline(plot("mse"), "t", "d", "p")
    assert "var(--ink)" in text
    assert "#1f2933" not in text
    assert "DejaVu" not in text


def test_scores_are_drawn_where_they_are() -> None:
    scores = example()["evaluation"]["scores"]
    axes = plot_scores(scores, "rmse", 0).axes[0]
    places = [float(c.lines[0].get_xdata()[0]) for c in axes.containers]
    assert places == [score["behind"] for score in scores]
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "huber, boosted  (chosen)" in texts
    assert "mse, boosted  (default loss)" in texts


def test_the_chosen_and_the_default_stay_in_sight_among_many() -> None:
    one = example()["evaluation"]["scores"][0] | {"reference": False}
    many = [one | {"label": f"l{i}", "behind": i / 10, "behind_error": 0.1} for i in range(40)]
    many[35]["reference"] = True
    axes = plot_scores(many, "rmse", 38).axes[0]
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "l35" in texts
    assert "l38" in texts
    assert "l34" not in texts


def test_calibration_shows_the_bins() -> None:
    for run in (example(), classes()):
        found = run["calibration"] | {"observed_error": [0.1] * len(run["calibration"]["predicted"])}
        found["counts"] = [5] * len(found["predicted"])
        upper = plot_calibration(found).axes[0]
        dots = upper.containers[0].lines[0]
        assert list(dots.get_xdata()) == found["predicted"]
        assert list(dots.get_ydata()) == found["observed"]


def test_coverage_shows_the_wanted_level() -> None:
    found = example()["calibration"] | {"kind": "quantile", "level": 0.9, "observed": [0.8, 0.9, 0.95]}
    upper = plot_calibration(found).axes[0]
    assert any(list(line.get_ydata()) == [0.9, 0.9] for line in upper.lines)


def test_curves_draw_each_fold() -> None:
    axes = plot_curves(example()["curves"]).axes[0]
    drawn = [list(line.get_ydata()) for line in axes.lines]
    assert drawn.count([4.0, 2.0, 1.0, 0.5]) == 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot_curves([]),
        lambda: plot_scores([], "rmse"),
        lambda: plot_calibration(example()["calibration"] | {"predicted": []}),
        lambda: plot_numbers([], "x", None, None),
        lambda: plot_classes([], [], "x"),
        lambda: plot_predictions([], [], "x"),
    ],
)
def test_nothing_to_draw_is_an_error_in_words(draw: object) -> None:
    with pytest.raises(ValueError, match=r"no |needs"):
        draw()  # type: ignore[operator]
