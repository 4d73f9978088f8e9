"""The report: whole, offline, harmless whatever the data are called, and honest about what is missing."""

from __future__ import annotations

import dataclasses
import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

from lossmith.core.errors import InputError
from lossmith.report.html import render, write_report
from run_record import NASTY, classes, example

VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}
LINKS = ("href", "src", "xlink:href", "action", "formaction", "data", "srcset", "poster")


class Page(html.parser.HTMLParser):
    """Collects elements, attributes and text, and checks that elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def page(record: dict[str, Any]) -> Page:
    return Page(render(record, "runs/x"))


def test_it_is_well_formed_and_has_the_eight_steps() -> None:
    found = page(example())
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert {f"s{step}" for step in range(1, 9)} <= set(ids)
    assert len(ids) == len(set(ids)), "an id stands twice"


def test_the_answer_comes_first() -> None:
    text = page(example()).text
    assert "Train with huber on the boosted learner." in text
    assert "0.900 ± 0.050" in text
    assert "Better than the default loss by more than one standard error (0.140 ± 0.060 apart)." in text
    assert text.index("Train with huber") < text.index("What would change our mind") < text.index("Problem analysis")


def test_a_default_loss_that_wins_is_said_to_win() -> None:
    run = example()
    run["final"] |= {"label": "mse", "score": 1.04}
    assert "The default loss is the right one" in page(run).text


def test_one_candidate_alone_won_nothing() -> None:
    run = example()
    run["final"] |= {"label": "mse", "score": 1.04}
    run["evaluation"]["scores"] = run["evaluation"]["scores"][1:]
    run["evaluation"] |= {"best": 0, "chosen": 0}
    text = page(run).text
    assert "compared with no other" in text
    assert "only one candidate finished" in text
    assert "is the right one" not in text


def test_the_lead_is_that_of_paired_folds_where_it_is_known() -> None:
    run = example()
    rival = run["attempts"][0] | {"before": 0.9, "after": 1.04, "gain": -0.14, "gain_error": 0.2, "kept": False}
    run["attempts"].append(rival)
    assert "within one standard error (0.14 ± 0.20 on the same folds)" in page(run).text
    run = example()
    run["final"] |= {"score": 1.0}
    assert "within one standard error (0.040 ± 0.050 on the same folds)" in page(run).text


def test_a_loss_worse_than_the_default_is_not_praised() -> None:
    run = example()
    run["final"]["score"] = 2.0
    text = page(run).text
    assert "Worse than the default loss" in text
    assert "Better than the default" not in text


def test_doubts_follow_the_record() -> None:
    run = example()
    assert "mse (boosted) is within one standard error" in page(run).text
    run["evaluation"]["scores"][1]["tied"] = False
    assert "mse (boosted) is within one standard error" not in page(run).text
    run["budget"]["cut"] = True
    assert "time budget ended" in page(run).text


def test_nothing_is_fetched_and_nothing_runs() -> None:
    for record in (example(), classes()):
        found = page(record)
        assert not {tag for tag, _ in found.tags} & {"script", "iframe", "object", "embed", "link", "img", "base"}
        for tag, attributes in found.tags:
            assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
            for name in LINKS:
                value = attributes.get(name) or "#"
                assert value.startswith("#"), (tag, name, value)
            assert "url(http" not in (attributes.get("style") or "")
        text = render(record, "runs/x")
        assert "@import" not in text
        assert not re.search(r"url\((?!#)", text)


def poison(value: Any) -> Any:
    """Put the nasty text into every string of a record but those that are words of the schema."""
    if isinstance(value, dict):
        kept = ("kind", "config", "traits", "formula", "gradient", "learner")
        return {key: item if key in kept else poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return f"{value}{NASTY}" if isinstance(value, str) else value


@pytest.mark.parametrize("make", [example, classes])
def test_hostile_text_is_inert_everywhere(make: Any) -> None:
    found = page(poison(make()))
    clean = page(make())
    # Hostile text changes texts and attribute values, never which elements and attributes there are.
    assert "script" not in [tag for tag, _ in found.tags]
    assert [t for t, _ in found.tags].count("style") == [t for t, _ in clean.tags].count("style")
    assert all(set(a) <= {name for _, b in clean.tags for name in b} for _, a in found.tags)
    assert "<script>alert(1)</script>" in found.text, "the name is to be shown as it is"
    assert "\x00" not in found.text
    assert "\x1b" not in found.text
    assert found.open == []


def test_hostile_text_would_be_found() -> None:
    """Negative control: without escaping the parser sees a script."""
    assert "script" in [tag for tag, _ in Page(f"<p>{NASTY.split('</style>')[0]}</p>").tags]


PARTS = [
    "facts",
    "selection",
    "implementation",
    "trials",
    "evaluation",
    "findings",
    "attempts",
    "final",
    "calibration",
    "curves",
    "predictions",
    "budget",
    "notes",
    "timing",
    "settings",
    "data",
    "metric",
    "versions",
]


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_leaves_a_whole_page(part: str) -> None:
    run = example()
    del run[part]
    assert page(run).open == []


@pytest.mark.parametrize(
    ("part", "what"), [("selection", "Selection"), ("findings", "Diagnosis"), ("final", "Final model")]
)
def test_a_missing_part_is_said(part: str, what: str) -> None:
    said = f"{what}: this run did not get that far"
    run = example()
    assert said not in page(run).text
    del run[part]
    assert said in page(run).text


def test_a_run_without_a_model_claims_none() -> None:
    text = page({}).text
    assert "No model yet" in text
    assert "Train with" not in text


def test_an_interrupted_run_says_so() -> None:
    assert "Interrupted." not in page(example()).text
    assert "Interrupted." in page(example() | {"interrupted": True}).text


def test_troubles_are_seen_not_seen_or_could_not_be_tested() -> None:
    text = page(example()).text
    assert "outlier sensitivity seen LM-OUTLIERS" in text
    assert "Tested and not seen: overfitting LM-OVERFIT." in text
    assert "class imbalance could not be tested" in text


def test_big_data_stay_under_two_megabytes(tmp_path: Path) -> None:
    run = example()
    run["facts"]["columns"] *= 5000
    run["facts"]["warnings"] = ["w" * 100_000]
    run["facts"]["classes"], run["facts"]["class_counts"] = [f"c{i}" for i in range(3000)], list(range(3000))
    run["trials"] *= 500
    run["evaluation"]["scores"] *= 100
    curve = {"iterations": list(range(200)), "train": [0.123456789] * 200, "valid": [0.2] * 200}
    run["curves"] = [c | curve for c in run["curves"]] * 10
    assert write_report(run, tmp_path).stat().st_size < 2_000_000


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_report(example(), tmp_path)
    assert path == tmp_path / "report.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match="cannot write"):
        write_report(example(), tmp_path / "nowhere")


def test_tables_and_pictures_have_words() -> None:
    found = page(example())
    kinds = [tag for tag, _ in found.tags]
    assert kinds.count("table") == kinds.count("caption")
    pictures = [attributes for tag, attributes in found.tags if tag == "svg"]
    assert len(pictures) >= 5
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in pictures)


def test_the_example_has_the_form_of_a_run() -> None:
    from lossmith.workflow import records

    assert set(example()) == {field.name for field in dataclasses.fields(records.RunRecord)}
    for part, record in (("settings", records.Settings), ("final", records.FinalModel), ("budget", records.Budget)):
        assert set(example()[part]) <= {field.name for field in dataclasses.fields(record)}, part


def _luminance(colour: str) -> float:
    parts = colour.lstrip("#")
    parts = "".join(2 * letter for letter in parts) if len(parts) == 3 else parts
    rgb = [int(parts[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_has_contrast_in_light_and_dark(scheme: int) -> None:
    text = render(example(), "x")
    colours = [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r":root\{([^}]*)\}", text)]
    both = colours[0] | (colours[1] if scheme else {})
    for ink, paper in (
        ("ink", "paper"),
        ("muted", "paper"),
        ("muted", "page"),
        ("muted", "quiet"),
        ("accent", "paper"),
        ("good", "goodbg"),
        ("muted", "goodbg"),
        ("bad", "badbg"),
        ("ink", "badbg"),
    ):
        assert contrast(both[ink], both[paper]) >= 4.5, (ink, paper)
    assert contrast("#999", "#fff") < 4.5  # the check can fail
