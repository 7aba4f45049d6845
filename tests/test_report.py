"""What a reviewer reads, and what untrusted text can do in it: nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gitops import gates
from gitops.review import budgets, report, tables, verdict
from gitops.review.review import conclude
from gitops.shell import Stop

HOSTILE = "a|b`c` <!-- x --> @acme **bold** [l](http://evil) <img src=x>\n# h\n```mermaid\n\u202e$(rm)"
GOOD = {
    "name": "roc_auc",
    "champion": 0.84,
    "challenger": 0.85,
    "more_is_better": True,
    "floor": 0.8,
    "tolerance": 0.01,
}
GOOD |= {"require": "not_worse", "rows": 1409, "visible": 0.0162}
GOOD |= {"difference": 0.01, "low": 0.002, "high": 0.018, "verdict": "better", "reason": ""}
BUDGET = {"name": "model file (MB)", "champion": 1.0, "challenger": 2.0, "limit": 1.5, "reason": ""}
CHART: dict[str, Any] = {"title": "ROC curve", "x": ["false positive rate", 0, 1], "y": ["true positive rate", 0, 1]}
CHART |= {"series": {"champion": [0, 0.7, 1], "challenger": [0, 0.8, 1]}}


def review(**parts: Any) -> dict[str, Any]:
    """Return a finished review; without arguments, of a better model."""
    made: dict[str, Any] = {
        "format": report.FORMAT,
        "commit": "c" * 40,
        "base": "b" * 40,
        "fork": False,
        "lock": {"stale": [], "missing": []},
        "params": [],
        "data": [],
        "contract": {"change": "none", "breaks": []},
        "gates_changed": False,
        "factory_changed": [],
        "champion": {"state": "paired", "note": ""},
        "against": {"commit": "d" * 40, "where": "on main"},
        "code": [],
        "dependencies": [],
        "stages": [],
        "budgets": [],
        "metrics": [GOOD],
        "segments": [],
        "notes": [],
        "value": {},
        "charts": [],
        "rows": 1409,
        "trained": False,
    }
    made |= parts
    return made | conclude(made)


def test_the_first_line_decides() -> None:
    assert report.render(review()).startswith("✅ **Ready to merge**: better in `roc_auc`, worse in nothing\n")
    bad = GOOD | {"verdict": "below floor", "reason": "roc_auc 0.7000 is below its floor 0.8 by 0.1000"}
    text = report.render(review(metrics=[bad]))
    assert text.startswith("⛔ **Blocked**: `roc_auc 0.7000 is below its floor 0.8 by 0.1000`\n")
    assert "**What to do.** Improve the model on this branch." in text


def test_a_metric_is_one_row() -> None:
    row = "| `roc_auc` | 0.8400 | 0.8500 | +0.0100 (+0.0020 … +0.0180) | ≥ 0.8, tolerance 0.01 | ✅ better |"
    assert row in report.render(review()).splitlines()


def test_a_stale_lock_says_the_way_out() -> None:
    text = report.render(review(lock={"stale": ["stage train: params.yaml is modified"], "missing": []}))
    assert text.startswith("⛔ **Blocked**: `dvc.lock is stale: stage train: params.yaml is modified`")
    assert "On this branch: `uv run dvc repro && uv run gitops store push`, then commit" in text


def test_a_fork_is_told_that_a_maintainer_does_it() -> None:
    text = report.render(review(fork=True, lock={"stale": [], "missing": ["build/model.bin"]}))
    assert "`build/model.bin is not in the data remote`" in text
    assert "A maintainer, on a checkout of this pull request: `uv run dvc repro" in text


def test_undecided_and_changed_gates_only_warn() -> None:
    assert review(gates_changed=True)["verdict"] == "warn"
    assert review(metrics=[GOOD | {"verdict": "undecided", "reason": "r"}])["verdict"] == "warn"
    assert review(metrics=[GOOD | {"verdict": "undecided", "reason": "r"}], gates_changed=True)["reasons"] == []


@pytest.mark.parametrize(
    "place",
    [
        "params",
        "data",
        "code",
        "dependencies",
        "stages",
        "budget",
        "champion",
        "reasons",
        "claims",
        "breaks",
        "metric",
        "factory",
        "segment",
        "note",
        "value",
    ],
)
def test_hostile_text_stays_in_its_code_span(place: str) -> None:
    change = [{"name": HOSTILE, "champion": HOSTILE, "challenger": HOSTILE}]
    cases: dict[str, dict[str, Any]] = {
        "params": {"params": change},
        "data": {"data": change},
        "code": {"code": [{"area": HOSTILE, "files": [HOSTILE]}]},
        "dependencies": {"dependencies": change},
        "stages": {"stages": [HOSTILE]},
        "budget": {"budgets": [BUDGET | {"name": HOSTILE, "verdict": "over the budget", "reason": HOSTILE}]},
        "format": {"model_format": HOSTILE},
        "claims": {"claims": [HOSTILE]},
        "champion": {
            "champion": {"state": "unpaired", "note": HOSTILE},
            "against": {"commit": HOSTILE, "where": HOSTILE},
        },
        "reasons": {"lock": {"stale": [HOSTILE], "missing": []}},
        "breaks": {"contract": {"change": HOSTILE, "breaks": [HOSTILE]}},
        "metric": {"metrics": [GOOD | {"name": HOSTILE, "verdict": "worse", "reason": HOSTILE}]},
        "factory": {"factory_changed": [HOSTILE]},
        "segment": {"segments": [GOOD | {"name": HOSTILE}]},
        "note": {"notes": [HOSTILE]},
        "value": {"value": {HOSTILE: {"threshold": 0.5, "per_1000": 1.0}}},
    }
    text = report.render(review(**cases[place]))
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert "evil" in text
    for harm in ("evil", "@acme", "<!--", "<img", "mermaid", "**bold", "$(rm)", "\u202e"):
        assert harm not in outside, harm
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(tables) <= {4, 6, 7}  # no cell more than the three tables have


def test_a_chart_is_mermaid_with_its_legend_in_the_text() -> None:
    text = report.render(review(charts=[CHART]))
    assert "**ROC curve** (blue: champion · orange: challenger)" in text
    lines = text[text.index("```mermaid") :].splitlines()[:7]
    assert lines == [
        "```mermaid",
        '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#0072b2, #d55e00"}}}}%%',
        "xychart-beta",
        '    x-axis "false positive rate" 0 --> 1',
        '    y-axis "true positive rate" 0 --> 1',
        "    line [0, 0.7, 1]",
        "    line [0, 0.8, 1]",
    ]


def test_the_documentation_explains_every_verdict_and_every_gate() -> None:
    text = (Path(__file__).parent.parent / "docs" / "review.md").read_text()
    for verdict_ in tables.MARKS:
        assert f"| {tables.MARKS[verdict_]} {verdict_} |" in text, verdict_
    for key in (
        *gates.PARTS,
        *gates.GATE,
        *gates.REQUIREMENTS,
        *gates.SEGMENTS,
        *gates.OUTCOMES,
        *gates.WAIVER,
        *gates.BUDGETS,
    ):
        assert re.search(rf"\b{key}\b", text), key


def test_segments_are_folded_worst_first() -> None:
    worst = GOOD | {"name": "plan = b", "difference": -0.2, "verdict": "worse", "reason": "plan = b: worse"}
    text = report.render(review(segments=[GOOD | {"name": "plan = a"}, worst]))
    assert text.startswith("⛔ **Blocked**: `plan = b: worse`")
    assert "<summary>Segments (2)</summary>" in text and text.index("`plan = b` |") < text.index("`plan = a` |")


def test_a_huge_change_is_cut_with_a_note() -> None:
    rows = [{"name": f"p{i}" * 80, "champion": "x" * 500, "challenger": "y" * 500} for i in range(5000)]
    text = report.render(review(params=rows))
    assert len(text) < 65_536
    assert "more" in text
    assert text.count("<details>") == text.count("</details>")


def test_a_comment_that_is_too_long_loses_whole_parts() -> None:
    rows = [GOOD | {"name": f"{i} = {'x' * 150}", "low": 10.0**300, "high": 10.0**300} for i in range(60)]
    change = [{"name": f"p{i}" * 80, "champion": "x" * 500, "challenger": "y" * 500} for i in range(60)]
    text = report.render(review(segments=rows, params=change, charts=[CHART]))
    assert 20_000 < len(text) < 65_536
    assert text.endswith("\n\n… cut: `report.html` holds the whole report.\n")
    assert text.count("<details>") == text.count("</details>") and text.count("```") % 2 == 0


def test_a_chart_has_no_exponents() -> None:
    chart = CHART | {"y": ["true positive rate", 0, 2e6], "series": {"champion": [1e-7, 123456789.0]}}
    text = report.render(review(charts=[chart]))
    assert "line [0.0000001, 123457000]" in text and "0 --> 2000000" in text


def test_the_verdict_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "review.json"
    needs = {"check": {"result": "success"}, "review": {"result": "success"}}
    path.write_text(json.dumps(review()))
    assert verdict.verdict(path, json.dumps(needs)) == 0
    assert verdict.verdict(path, json.dumps(needs | {"check": {"result": "failure"}})) == 1
    assert "the job `check` did not succeed" in capsys.readouterr().out
    path.write_text(json.dumps(review(lock={"stale": ["x"], "missing": []})))
    assert verdict.verdict(path, "") == 1
    assert "dvc.lock is stale: x" in capsys.readouterr().out


def test_without_a_review_a_failed_job_explains_itself(tmp_path: Path) -> None:
    assert verdict.verdict(tmp_path / "none.json", '{"review": {"result": "failure"}}') == 1
    with pytest.raises(Stop, match="there is no review"):
        verdict.verdict(tmp_path / "none.json", '{"review": {"result": "success"}}')


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "null",
        '{"format": 99}',
        json.dumps(review() | {"verdict": "fine"}),
        json.dumps(review() | {"metrics": [GOOD | {"verdict": "great"}]}),
        json.dumps(review() | {"metrics": [GOOD | {"challenger": "| 1 |"}]}),
        json.dumps(review() | {"rows": "<b>"}),
        json.dumps(review() | {"charts": [CHART | {"title": "ROC curve\n```\n# h"}]}),
        json.dumps(review() | {"charts": [CHART | {"series": {"x]\nline": [1]}}]}),
        json.dumps(review() | {"charts": [CHART | {"series": {"champion": ["1]"]}}]}),
        json.dumps({key: value for key, value in review().items() if key != "lock"}),
        " " * (verdict.SIZE_LIMIT + 1),
    ],
)
def test_a_review_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "review.json"
    path.write_text(text)
    with pytest.raises(Stop, match=r"not a review|larger than a review"):
        verdict.read(path)


def test_a_broken_budget_blocks_in_sight_and_a_kept_one_is_folded() -> None:
    limits = {"model_mb": 1.5, "image_mb": 300.0}
    kept = budgets.rows(limits, {"model_mb": 1.2, "p95_ms": 0.1}, {"model_mb": 1.0})
    assert [row["verdict"] for row in kept] == ["within the budget", "no limit", "not measured here"]
    text = report.render(review(budgets=kept))
    assert "<details><summary>Size and speed</summary>" in text and "| `model file (MB)` | 1 | 1.2 | 1.5 | ✅" in text
    broken = review(budgets=budgets.rows(limits, {"model_mb": 2.0}, {}))
    assert broken["verdict"] == "block"
    text = report.render(broken)
    assert "⛔ **Blocked**: `model file (MB) 2 is over the budget of 1.5`" in text and "Size and speed" not in text


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("onnx", "Format of the model file: `onnx`."),
        ("skops", "Format of the model file: `skops`."),
        ("lightgbm", "Format of the model file: `lightgbm`."),
    ],
)
def test_the_format_of_the_model_file_is_folded_only_when_it_is_the_usual_one(told: str, line: str) -> None:
    kept = budgets.rows({}, {"model_mb": 1.2}, {"model_mb": 1.0})
    lines = report.render(review(budgets=kept, model_format=told)).splitlines()
    assert line in lines and any("| `model file (MB)` | 1 | 1.2 |" in row for row in lines)
    assert ("<details><summary>Size and speed</summary>" in lines) == (told == "onnx")


def test_what_changed_is_told_by_area_with_the_stages_that_ran() -> None:
    code = [
        {"area": "model", "files": ["src/model/train.py (−1 +3)"]},
        {"area": "tests", "files": ["t.py (−0 +1)"] * 40},
    ]
    text = report.render(review(code=code, stages=["train", "evaluate"]))
    assert "- `model`: `src/model/train.py (−1 +3)`\n" in text and " and 10 more\n" in text
    assert "- stages that ran again: `train`, `evaluate`\n" in text and "What changed (41)" in text
