"""The report as a page: the same content, nothing from outside, and untrusted text that stays text."""

from html.parser import HTMLParser
from typing import Any

import pytest
from gitops.document import Fold, Table
from gitops.review import page, report, svg
from test_report import CHART, GOOD, HOSTILE, review

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
BAD = GOOD | {"verdict": "below floor", "reason": "roc_auc 0.7000 is below its floor 0.8 by 0.1000"}
ALONE = {key: value for key, value in GOOD.items() if key not in ("low", "high", "visible")}
NOTHING = ALONE | {"champion": None, "challenger": None, "difference": None, "verdict": "missing", "reason": "no value"}
ERRORS: dict[str, Any] = {
    "title": "Mean absolute error",
    "x": ["tenth of the rows, by rising score", 1, 10],
    "y": ["error", 0, 12.5],
}
ERRORS |= {"series": {"challenger": [3, 4, 12.5]}}


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


def hostile() -> dict[str, dict[str, Any]]:
    """Return reviews' parts with hostile text in each place that a pull request can write to."""
    change = [{"name": HOSTILE_HTML, "champion": HOSTILE_HTML, "challenger": HOSTILE_HTML}]
    return {
        "params": {"params": change},
        "data": {"data": change},
        "unpaired": {"champion": {"state": "unpaired", "note": HOSTILE_HTML}},
        "same": {"champion": {"state": "same", "note": HOSTILE_HTML}, "metrics": []},
        "reasons": {"lock": {"stale": [HOSTILE_HTML], "missing": [HOSTILE_HTML]}},
        "contract": {"contract": {"change": HOSTILE_HTML, "breaks": [HOSTILE_HTML]}},
        "metric": {"metrics": [GOOD | {"name": HOSTILE_HTML, "require": HOSTILE_HTML}]},
        "verdict": {"metrics": [GOOD | {"name": HOSTILE_HTML, "verdict": "worse", "reason": HOSTILE_HTML}]},
        "segment": {"segments": [GOOD | {"name": HOSTILE_HTML}]},
        "factory": {"factory_changed": [HOSTILE_HTML]},
        "note": {"notes": [HOSTILE_HTML]},
        "value": {"value": {HOSTILE_HTML: {"threshold": 0.5, "per_1000": 1.0}}},
        "commit": {"commit": '"><b>evil', "base": "<script>"},
    }


@pytest.mark.parametrize("place", hostile())
def test_hostile_text_is_only_text(place: str) -> None:
    parsed = Page(page.page(review(charts=[CHART], **hostile()[place])))
    assert set(parsed.tags) <= TAGS
    assert {name for _, name, _ in parsed.attributes} <= ATTRIBUTES
    assert not [value for _, _, value in parsed.attributes if "evil" in value or "script" in value]
    assert any("evil" in text or "<script>" in text for text in parsed.texts)  # it is shown, not swallowed
    assert "\u202e" not in "".join(parsed.texts)
    plain = Page(page.page(review(charts=[CHART], **_tamed(hostile()[place]))))
    assert parsed.tags == plain.tags


def _tamed(value: Any) -> Any:
    """Return the same parts with a harmless word for each hostile text."""
    if isinstance(value, dict):
        return {_tamed(key) if key == HOSTILE_HTML else key: _tamed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_tamed(part) for part in value]
    return "word" if value in (HOSTILE_HTML, '"><b>evil', "<script>") else value


def test_numbers_must_be_numbers() -> None:
    for row in (GOOD | {"challenger": "<b>1"}, GOOD | {"tolerance": "<b>1"}, GOOD | {"low": "<b>1"}):
        with pytest.raises((TypeError, ValueError)):
            page.page(review(metrics=[row]))
    for chart in (CHART | {"title": "<b>"}, CHART | {"series": {"<b>": [1]}}, CHART | {"y": ["<b>", 0, 1]}):
        with pytest.raises(ValueError, match="not a chart of ours"):
            page.page(review(charts=[chart]))


def test_nothing_comes_from_outside_and_nothing_runs() -> None:
    text = page.page(review(charts=[CHART, ERRORS], segments=[GOOD]))
    parsed = Page(text)
    for harm in ("http:", "https:", "//", "url(", "@import", "<script", "javascript", "<link", "src=", "href="):
        assert harm not in text, harm
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    policy = [value for _, name, value in parsed.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert ("meta", "content", "width=device-width, initial-scale=1") in parsed.attributes


def test_the_verdict_comes_first() -> None:
    texts = Page(page.page(review(metrics=[BAD]))).texts
    assert texts[:3] == ["Model review: Blocked", "⛔ Blocked", BAD["reason"]]
    assert "What to do." in texts


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, ["✅ Ready to merge", "roc_auc", "✅ better", "+0.0100 (+0.0020 … +0.0180)", "≥ 0.8, tolerance 0.01"]),
        ({"champion": {"state": "none", "note": "no champion"}, "metrics": [ALONE | {"champion": None}]}, ["–"]),
        ({"champion": {"state": "unpaired", "note": "a column is gone"}}, ["Not on the same rows", "a column is gone"]),
        ({"champion": {"state": "same", "note": "byte for byte"}, "metrics": []}, ["byte for byte"]),
        ({"lock": {"stale": ["train"], "missing": []}}, ["⛔ Blocked", "uv run dvc repro && uv run gitops store push"]),
        ({"metrics": [NOTHING], "segments": [NOTHING]}, ["⛔ missing", "–"]),
        ({"value": {"champion": {"threshold": None, "per_1000": 9214.2}}}, ["9,214", "–"]),
    ],
    ids=["better", "first", "unpaired", "same", "stale", "no numbers", "value"],
)
def test_every_kind_of_review_has_its_page(parts: dict[str, Any], said: list[str]) -> None:
    texts = Page(page.page(review(**parts))).texts
    for sentence in said:
        assert sentence in texts
    assert "nan" not in texts and "None" not in texts


def test_the_page_has_all_that_the_comment_has() -> None:
    found = review(segments=[BAD | {"name": "plan = b"}], params=[{"name": "p", "champion": "1", "challenger": "2"}])
    texts = "".join(Page(page.page(found)).texts)
    tables = [block for part in report.document(found) for block in (part.blocks if isinstance(part, Fold) else [part])]
    cells = ["".join(cell) for table in tables if isinstance(table, Table) for row in table.rows for cell in row]
    assert {"plan = b", "p", "⛔ below floor"} <= set(cells)
    assert [cell for cell in cells if cell not in texts] == []


def test_a_chart_has_two_lines_axes_and_a_legend() -> None:
    parsed = Page(svg.svg(CHART))
    lines = {tag: value for tag, name, value in parsed.attributes if name == "points"}
    assert lines == {"polyline": "50.0,204.0 189.0,68.0 328.0,34.0"}  # the last one: challenger, from 0 to 1
    assert parsed.tags.count("polyline") == 2
    assert parsed.texts[:12] == ["0", "0.2", "0.4", "0.6", "0.8", "1"] * 2
    assert parsed.texts[12:] == ["false positive rate", "true positive rate", "champion", "challenger"]
    keys = [(tag, value) for tag, name, value in parsed.attributes if name == "class" and value.startswith("line-")]
    assert keys == [("polyline", "line-1"), ("line", "line-1"), ("polyline", "line-2"), ("line", "line-2")]


def test_all_charts_are_on_the_page() -> None:
    parsed = Page(page.page(review(charts=[CHART, ERRORS])))
    assert parsed.tags.count("svg") == 2
    assert parsed.tags.count("polyline") == 3  # a first model is alone
    assert {"ROC curve", "Mean absolute error", "champion", "challenger"} <= set(parsed.texts)


def test_what_is_no_number_is_not_drawn() -> None:
    text = svg.svg(CHART | {"series": {"champion": [0, None, float("nan"), float("inf"), 1]}})
    assert 'points="50.0,204.0 328.0,34.0"' in text


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
