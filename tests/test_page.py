"""The report as a page: the same content, nothing from outside, and untrusted text that stays text."""

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from html.parser import HTMLParser
from typing import Any

import pytest
from gitops.document import Axis, Chart, Fold, Series, Table
from gitops.review import page, report, svg
from gitops.review.record import Champion, Change, Contract, LockState, ValueRow, Verdict
from test_report import BAD, CHART, GOOD, HOSTILE, SEGMENT, UNSURE, review

HOSTILE_HTML = (
    f"""</code></td></table><script>alert(1)</script>"' onload=x <img src="https://evil"> &amp;evil {HOSTILE}"""
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "footer", "h1", "p", "ul", "li", "strong", "code"),
    *("div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption"),
    *("svg", "g", "line", "text", "polyline"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "tabindex", "open", "role", "aria-label"),
    *("viewbox", "transform", "points", "x", "y", "x1", "x2", "y1", "y2", "text-anchor"),
}
EMPTY = {"meta"}
ALONE = replace(GOOD, interval=None)
NOTHING = replace(ALONE, champion=None, challenger=None, difference=None, verdict=Verdict.MISSING, reason="no value")
NO_SEGMENT = replace(SEGMENT, champion=None, challenger=None, difference=None, interval=None)
ERRORS = Chart(
    "Mean absolute error",
    Axis("tenth of the rows, by rising score", 1, 10),
    Axis("error", 0, 12.5),
    (Series("challenger", (3, 4, 12.5)),),
)


class Page(HTMLParser):
    """What a browser reads in a page: `tags`, `attributes` as (tag, name, value), `texts`; unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open[-1:] != ["style"]:
            self.texts.append(data.strip())


CHANGE = (Change(HOSTILE_HTML, HOSTILE_HTML, HOSTILE_HTML),)
PLACES: dict[str, dict[str, Any]] = {  # parts of reviews with hostile text wherever a pull request can write it
    "params": {"params": CHANGE},
    "data": {"data": CHANGE},
    "unpaired": {"champion": Champion("d", HOSTILE_HTML, "unpaired", HOSTILE_HTML)},
    "same": {"champion": Champion("d", "on main", "same", HOSTILE_HTML), "metrics": ()},
    "lock": {"lock": LockState((HOSTILE_HTML,), (HOSTILE_HTML,), (HOSTILE_HTML,))},
    "contract": {"contract": Contract("breaking", (HOSTILE_HTML,))},
    "metric": {"metrics": (replace(GOOD, name=HOSTILE_HTML),)},
    "verdict": {"metrics": (replace(GOOD, name=HOSTILE_HTML, verdict=Verdict.WORSE, reason=HOSTILE_HTML),)},
    "segment": {"segments": (replace(SEGMENT, name=HOSTILE_HTML),)},
    "factory": {"owned_changes": (HOSTILE_HTML,)},
    "remark": {"remarks": (HOSTILE_HTML,)},
    "format": {"model_format": HOSTILE_HTML},
    "commit": {"commit": '"><b>evil', "base": "<script>"},
}


@pytest.mark.parametrize("place", PLACES)
def test_hostile_text_is_only_text(place: str) -> None:
    parsed = Page(page.html_page(review(charts=(CHART,), **PLACES[place])))
    assert set(parsed.tags) <= TAGS
    assert {name for _, name, _ in parsed.attributes} <= ATTRIBUTES
    assert not [value for _, _, value in parsed.attributes if "evil" in value or "script" in value]
    assert any("evil" in text or "<script>" in text for text in parsed.texts)  # it is shown, not swallowed
    assert "\u202e" not in "".join(parsed.texts)
    tamed = {name: _tamed(part) for name, part in PLACES[place].items()}
    assert parsed.tags == Page(page.html_page(review(charts=(CHART,), **tamed))).tags


def _tamed(value: Any) -> Any:
    """Return the same part with a harmless word for each hostile text."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _tamed(getattr(value, field.name)) for field in fields(value)})
    if isinstance(value, tuple):
        return tuple(map(_tamed, value))
    return "word" if not isinstance(value, Enum) and value in (HOSTILE_HTML, '"><b>evil', "<script>") else value


def test_nothing_comes_from_outside_and_nothing_runs() -> None:
    text = page.html_page(review(charts=(CHART, ERRORS), segments=(SEGMENT,)))
    parsed = Page(text)
    for harm in ("http:", "https:", "//", "url(", "@import", "<script", "javascript", "<link", "src=", "href="):
        assert harm not in text, harm
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    policy = [value for _, name, value in parsed.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert ("meta", "content", "width=device-width, initial-scale=1") in parsed.attributes


def test_the_verdict_comes_first() -> None:
    texts = Page(page.html_page(review(metrics=(BAD,)))).texts
    assert texts[:3] == ["Model review: Blocked", "⛔ Blocked", BAD.reason]
    assert "What to do." in texts


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, ["✅ Ready to merge", "roc_auc", "✅ better", "+0.0100 (+0.0020 … +0.0180)", "≥ 0.8, tolerance 0.01"]),
        ({"champion": Champion("d", "on main", "none", "first"), "metrics": (replace(ALONE, champion=None),)}, ["–"]),
        ({"champion": Champion("d", "on main", "unpaired", "no column")}, ["Not on the same rows", "no column"]),
        ({"champion": Champion("d", "on main", "same", "byte for byte"), "metrics": ()}, ["byte for byte"]),
        ({"lock": LockState(stale=("train",))}, ["⛔ Blocked", "uv run dvc repro && uv run gitops store push"]),
        ({"lock": LockState(unpushed=("build/a",))}, ["✅ Ready to merge", "uv run gitops store push", "build/a"]),
        ({"metrics": (UNSURE,), "segments": (SEGMENT,)}, ["⚠️ Look before you merge", "⚠️ can't tell", "0.1680"]),
        ({"metrics": (NOTHING,), "segments": (NO_SEGMENT,)}, ["⛔ missing", "⚠️ can't tell", "–"]),
        ({"value": (ValueRow("champion", None, 9214.2),)}, ["9,214", "–"]),
    ],
    ids=["better", "first", "unpaired", "same", "stale", "unpushed", "can't tell", "no numbers", "value"],
)
def test_every_kind_of_review_has_its_page(parts: dict[str, Any], said: list[str]) -> None:
    texts = Page(page.html_page(review(**parts))).texts
    for sentence in said:
        assert sentence in texts
    assert "nan" not in texts and "None" not in texts


def test_the_page_has_all_that_the_comment_has() -> None:
    found = review(segments=(replace(SEGMENT, name="plan = b"),), metrics=(BAD,), params=(Change("p", "1", "2"),))
    texts = "".join(Page(page.html_page(found)).texts)
    tables = [block for part in report.document(found) for block in (part.blocks if isinstance(part, Fold) else [part])]
    cells = ["".join(cell) for table in tables if isinstance(table, Table) for row in table.rows for cell in row]
    assert {"plan = b", "p", "⛔ below floor"} <= set(cells)
    assert [cell for cell in cells if cell not in texts] == []


def test_a_chart_has_two_lines_axes_and_a_legend() -> None:
    parsed = Page(svg.line_chart(CHART))
    lines = {tag: value for tag, name, value in parsed.attributes if name == "points"}
    assert lines == {"polyline": "50.0,204.0 189.0,68.0 328.0,34.0"}  # the last one: challenger, from 0 to 1
    assert parsed.tags.count("polyline") == 2
    assert parsed.texts[:12] == ["0", "0.2", "0.4", "0.6", "0.8", "1"] * 2
    assert parsed.texts[12:] == ["false positive rate", "true positive rate", "champion", "challenger"]
    keys = [(tag, value) for tag, name, value in parsed.attributes if name == "class" and value.startswith("line-")]
    assert keys == [("polyline", "line-1"), ("line", "line-1"), ("polyline", "line-2"), ("line", "line-2")]


def test_all_charts_are_on_the_page() -> None:
    parsed = Page(page.html_page(review(charts=(CHART, ERRORS))))
    assert parsed.tags.count("svg") == 2
    assert parsed.tags.count("polyline") == 3  # a first model is alone
    assert {"ROC curve", "Mean absolute error", "champion", "challenger"} <= set(parsed.texts)


def test_a_chart_of_other_words_or_more_lines_can_not_be_made() -> None:
    for parts in ({"title": "<b>"}, {"y": Axis("<b>", 0, 1)}, {"series": (Series("<b>", (1,)),)}):
        with pytest.raises(ValueError, match="not a chart of ours"):
            replace(CHART, **parts)
    with pytest.raises(ValueError, match="not a chart of ours"):
        replace(CHART, series=CHART.series + CHART.series)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 10, [2, 4, 6, 8, 10]),
        (0, 0.3527, [0, 0.1, 0.2, 0.3]),
        (-30, 1200, [0, 500, 1000]),
        (3e-7, 9e-7, [4e-7, 6e-7, 8e-7]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == pytest.approx(expected)
