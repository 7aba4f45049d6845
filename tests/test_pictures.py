"""What people see: the comment's charts drawn by the real Mermaid, the page in a real browser, wide and on a phone.

The pictures stay in pytest's temporary folder, for looking at; `python tests/test_pictures.py review.json` makes those
of docs/pictures.
"""

import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import browser
import pytest
from gitops.document import Axis, Chart, Series
from gitops.review import page, report, verdict
from gitops.review.record import Change, Review, ValueRow
from test_page import ERRORS, HOSTILE_HTML
from test_report import BAD, CHART, GOOD, SEGMENT, review

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parent.parent / "docs" / "pictures"
LONG = "a_very_long_name_of_a_column" * 5
CALIBRATION = Chart(
    "Calibration of the challenger",
    Axis("tenth of the rows, by rising score", 1, 10),
    Axis("mean", -12.5, 1e6),
    (Series("predicted", (-1.5, 0, 1e-7, 9e5)), Series("observed", (-2, 0, 3, 8e5))),
)
FULL: dict[str, Any] = {
    "charts": (CHART, CALIBRATION),
    "metrics": (GOOD, replace(BAD, name=LONG)),
    "segments": (replace(SEGMENT, name=f"{LONG} = x"), replace(SEGMENT, name=HOSTILE_HTML)),
    "params": (Change(LONG, LONG, "x" * 300),),
    "value": (ValueRow("champion", 0.3, 9214.0),),
    "remarks": ("x" * 300,),
}


def test_mermaid_draws_every_chart(tmp_path: Path) -> None:
    shown = browser.dom(browser.comment(report.render(review(**FULL)), tmp_path / "comment.html"))
    charts = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert len(charts) == len(re.findall('class="mermaid"', shown)) == 2
    assert "Syntax error" not in shown
    for chart in charts:
        lines = re.findall(r'<g class="line-plot-\d"><path d="([^"]*)"[^>]* stroke="([^"]*)"', chart)
        assert [colour.lower() for _, colour in lines] == ["#0072b2", "#d55e00"]  # Mermaid took our palette
        assert all("NaN" not in path and path.count("L") >= 2 for path, _ in lines)


def test_a_broken_chart_would_be_seen(tmp_path: Path) -> None:
    text = report.render(review(charts=(CHART,))).replace("line [", "line [,")
    shown = browser.dom(browser.comment(text, tmp_path / "comment.html"))
    assert "Syntax error" in shown


def test_a_regression_alone_has_one_line(tmp_path: Path) -> None:
    shown = browser.dom(browser.comment(report.render(review(charts=(ERRORS,))), tmp_path / "comment.html"))
    assert "Syntax error" not in shown and shown.count('<g class="line-plot-') == 1


def test_the_page_fits_a_phone_and_a_desk(tmp_path: Path) -> None:
    text = page.html_page(review(**FULL))
    narrow = browser.phone(text, tmp_path / "phone.html", 2400)
    assert 'data-scroll="390"' in browser.dom(narrow)
    wide = tmp_path / "page.html"
    wide.write_text(text)
    for source, size in ((narrow, (500, 2400)), (wide, (1280, 1600))):
        target = source.with_suffix(".png")
        browser.picture(source, target, *size)
        assert _size(target) == size
        assert target.stat().st_size > 30_000  # an empty page of this size has 10 kB


def test_a_page_that_is_too_wide_would_be_seen(tmp_path: Path) -> None:
    text = page.html_page(review(**FULL)).replace("overflow-x: auto", "overflow-x: visible")
    assert 'data-scroll="390"' not in browser.dom(browser.phone(text, tmp_path / "phone.html", 2400))


def _size(picture: Path) -> tuple[int, int]:
    """Return width and height from a PNG's header."""
    header = picture.read_bytes()[:24]
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def draw(found: Review, folder: Path) -> None:
    """Write the three pictures of the documentation."""
    text, wide = page.html_page(found), folder / "page.html"
    wide.write_text(text)
    browser.picture(wide, DOCS / "review-page.png", 1000, 1760)
    browser.picture(browser.phone(text, folder / "phone.html", 844), DOCS / "review-page-phone.png", 390, 844, scale=2)
    comment = browser.comment(report.render(found), folder / "comment.html")
    browser.picture(comment, DOCS / "review-comment.png", 920, 2240)


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        draw(verdict.read(Path(sys.argv[1])), Path(folder))
