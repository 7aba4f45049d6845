"""What a reviewer reads, and what untrusted text can do in it: nothing."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from gitops import gates
from gitops.document import Axis, Chart, Series
from gitops.review import budgets, codec, report, tables, verdict
from gitops.review.conclude import conclude, review_of
from gitops.review.record import (
    BudgetRow,
    Champion,
    Change,
    Changes,
    CodeArea,
    Contract,
    Facts,
    Interval,
    Judgement,
    LockState,
    MetricRow,
    Outcome,
    Review,
    SegmentRow,
    ValueRow,
    Verdict,
)
from gitops.shell import CommandError

HOSTILE = "a|b`c` <!-- x --> @acme **bold** [l](http://evil) <img src=x>\n# h\n```mermaid\n\u202e$(rm)"
INTERVAL = Interval(low=0.002, high=0.018, standard_error=0.0058, p_value=0.96, minimum_detectable_effect=0.0162)
GOOD = MetricRow(
    name="roc_auc",
    rows=1409,
    more_is_better=True,
    champion=0.84,
    challenger=0.85,
    difference=0.01,
    interval=INTERVAL,
    floor=0.8,
    tolerance=0.01,
    require="not_worse",
    verdict=Verdict.BETTER,
)
BAD = replace(GOOD, verdict=Verdict.BELOW_FLOOR, reason="roc_auc 0.7000 is below its floor 0.8 by 0.1000")
UNSURE = replace(GOOD, verdict=Verdict.CANNOT_TELL, reason="roc_auc may be up to 0.0300 worse")
SEGMENT = SegmentRow(
    name="plan = a",
    rows=364,
    more_is_better=True,
    champion=0.73,
    challenger=0.693,
    difference=-0.037,
    interval=replace(INTERVAL, low=-0.162, high=0.074, minimum_detectable_effect=0.168),
    tolerance=0.03,
    verdict=Verdict.CANNOT_TELL,
)
BUDGET = BudgetRow(
    name="model file (MB)", champion=1.0, challenger=2.0, limit=1.5, verdict=Verdict.OVER_THE_BUDGET, reason="too large"
)
CHART = Chart(
    "ROC curve",
    Axis("false positive rate", 0, 1),
    Axis("true positive rate", 0, 1),
    (Series("champion", (0, 0.7, 1)), Series("challenger", (0, 0.8, 1))),
)
PAIRED = Champion("d" * 40, "on main", "paired", "")
CHANGES = Changes(
    params=(),
    data=(),
    dependencies=(),
    code=(),
    stages=(),
    contract=Contract("none", ()),
    gates_changed=False,
    owned_changes=(),
)
JUDGEMENT = Judgement(rows=1409, metrics=(GOOD,), segments=(), value=(), remarks=())
FACTS = Facts(
    commit="c" * 40,
    base="b" * 40,
    fork=False,
    released=False,
    trained=False,
    lock=LockState(),
    champion=PAIRED,
    changes=CHANGES,
    judgement=JUDGEMENT,
    budgets=(),
    charts=(),
    claims=(),
    model_format=None,
)


def review(**parts: Any) -> Review:
    """Return a finished review, without arguments of a better model; parts are facts, or those of their parts."""
    changes, judgement = ({key: parts.pop(key) for key in _names(part) & set(parts)} for part in (CHANGES, JUDGEMENT))
    facts = replace(FACTS, changes=replace(CHANGES, **changes), judgement=replace(JUDGEMENT, **judgement))
    facts = replace(facts, **parts)
    return review_of(facts)


def _names(part: Changes | Judgement) -> set[str]:
    return {field.name for field in fields(part)}


def test_the_first_line_decides() -> None:
    assert report.render(review()).startswith("✅ **Ready to merge**: better in `roc_auc`, worse in nothing\n")
    same, lost = (
        replace(GOOD, name=one.value, verdict=one) for one in (Verdict.NO_WORSE, Verdict.WITHIN_THE_TOLERANCE)
    )
    for metrics, words in (
        ((same,), "no worse than the champion\n"),
        ((GOOD, lost), "better in `roc_auc`, a loss within the tolerance in `within the tolerance`\n"),
        (
            (same, lost),
            "no worse than the champion by more than the tolerance: a loss is shown in `within the tolerance`\n",
        ),
    ):
        assert report.render(review(metrics=metrics)).startswith(f"✅ **Ready to merge**: {words}")
    text = report.render(review(metrics=(BAD,)))
    assert text.startswith("⛔ **Blocked**: `roc_auc 0.7000 is below its floor 0.8 by 0.1000`\n")
    assert "**What to do.** Improve the model on this branch." in text


def test_a_metric_is_one_row() -> None:
    row = "| `roc_auc` | 0.8400 | 0.8500 | +0.0100 (+0.0020 … +0.0180) | ≥ 0.8, tolerance 0.01 | ✅ better |"
    assert row in report.render(review()).splitlines()


def test_a_stale_lock_says_the_way_out() -> None:
    text = report.render(review(lock=LockState(stale=("stage train: params.yaml is modified",))))
    assert text.startswith("⛔ **Blocked**: `dvc.lock is stale: stage train: params.yaml is modified`")
    assert "On this branch: `uv run dvc repro && uv run gitops store push`, then commit" in text


def test_a_fork_is_told_that_a_maintainer_does_it() -> None:
    text = report.render(review(fork=True, lock=LockState(missing=("build/model.bin",))))
    assert "`build/model.bin is not in the data remote`" in text
    assert "A maintainer, on a checkout of this pull request: `uv run dvc repro" in text


def test_what_is_not_pushed_yet_is_a_note_with_its_command() -> None:
    found = review(lock=LockState(unpushed=("build/model.bin", "data/table.csv")))
    assert conclude(found.facts) == conclude(review().facts), "nothing is blocked, nor warned of"
    text = report.render(found)
    assert text.startswith("✅ **Ready to merge**: better in `roc_auc`, worse in nothing\n")
    words = "Before the pull request `uv run gitops store push`: the data remote lacks"
    assert f"**What to do.** {words} `build/model.bin`, `data/table.csv`." in text


POLICY: dict[Verdict, tuple[Outcome, Outcome]] = {  # what it makes of a review: as a metric's verdict, as a segment's
    Verdict.BETTER: (Outcome.PASSES, Outcome.PASSES),
    Verdict.NO_WORSE: (Outcome.PASSES, Outcome.PASSES),
    Verdict.WITHIN_THE_TOLERANCE: (Outcome.PASSES, Outcome.PASSES),
    Verdict.MEETS_THE_GATE: (Outcome.PASSES, Outcome.PASSES),
    Verdict.MAY_BE_CHANCE: (Outcome.PASSES, Outcome.PASSES),
    Verdict.CANNOT_TELL: (Outcome.WARNS, Outcome.PASSES),
    Verdict.WAIVED: (Outcome.WARNS, Outcome.WARNS),
    Verdict.WORSE: (Outcome.BLOCKS, Outcome.BLOCKS),
    Verdict.BELOW_FLOOR: (Outcome.BLOCKS, Outcome.BLOCKS),
    Verdict.NOT_SHOWN: (Outcome.BLOCKS, Outcome.BLOCKS),
    Verdict.MISSING: (Outcome.BLOCKS, Outcome.BLOCKS),
    Verdict.OVER_THE_BUDGET: (Outcome.BLOCKS, Outcome.BLOCKS),
    Verdict.WITHIN_THE_BUDGET: (Outcome.PASSES, Outcome.PASSES),
    Verdict.NO_LIMIT: (Outcome.PASSES, Outcome.PASSES),
    Verdict.NOT_MEASURED: (Outcome.PASSES, Outcome.PASSES),
}


@pytest.mark.parametrize("given", Verdict)
def test_each_verdict_blocks_warns_or_passes(given: Verdict) -> None:
    as_metric = review(metrics=(replace(GOOD, verdict=given, reason="why"),))
    as_segment = review(segments=(replace(SEGMENT, verdict=given, reason="why"),))
    assert (as_metric.verdict, as_segment.verdict) == POLICY[given]
    assert given.blocks == (as_metric.verdict is Outcome.BLOCKS)
    for found in (as_metric, as_segment):
        assert found.reasons == (("why",) if found.verdict is Outcome.BLOCKS else ())
        assert found.warnings == (("why",) if found.verdict is Outcome.WARNS else ())
    budget = review(budgets=(replace(BUDGET, verdict=given),))
    assert budget.verdict is (Outcome.BLOCKS if given.blocks else Outcome.PASSES)


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ({"gates_changed": True}, Outcome.WARNS),
        ({"owned_changes": ("src/gitops/a.py",)}, Outcome.WARNS),
        ({"contract": Contract("breaking", ("x is gone",))}, Outcome.WARNS),
        ({"remarks": ("few rows",)}, Outcome.WARNS),
        ({"claims": ("metrics.json says otherwise",)}, Outcome.BLOCKS),
        ({"lock": LockState(stale=("x",))}, Outcome.BLOCKS),
        ({"lock": LockState(missing=("x",))}, Outcome.BLOCKS),
        ({"lock": LockState(unpushed=("x",))}, Outcome.PASSES),
        ({"trained": True}, Outcome.PASSES),
    ],
)
def test_what_else_blocks_or_warns(parts: dict[str, Any], outcome: Outcome) -> None:
    assert review(**parts).verdict is outcome


def test_segments_that_can_not_tell_are_one_line_and_no_warning() -> None:
    small = replace(SEGMENT, name="plan = b", interval=replace(INTERVAL, low=-0.04, minimum_detectable_effect=0.05))
    sure = replace(SEGMENT, name="plan = c", verdict=Verdict.NO_WORSE)
    no_value = replace(SEGMENT, name="plan = d", interval=None, difference=None)
    found = review(segments=(SEGMENT, small, sure, no_value))
    (note,) = found.notes
    assert note == (
        "these rows can't tell for 3 of 4 segments whether they lose more than 0.03: "
        "at worst a loss shows from 0.1680 on, in plan = a"
    )
    text = report.render(found)
    assert text.splitlines()[:2] == ["✅ **Ready to merge**: better in `roc_auc`, worse in nothing", f"- `{note}`"]
    row = "| `plan = a` | 364 | 0.7300 | 0.6930 | -0.0370 (-0.1620 … +0.0740) | 0.1680 | ⚠️ can't tell |"
    assert row in text.splitlines()
    assert review(segments=(no_value,)).notes[0].endswith(": the metric has no value there")
    assert review(segments=(sure,)).notes == ()


HOSTILE_CHANGE = (Change(HOSTILE, HOSTILE, HOSTILE),)
HOSTILE_PLACES: dict[str, dict[str, Any]] = {
    "params": {"params": HOSTILE_CHANGE},
    "data": {"data": HOSTILE_CHANGE},
    "code": {"code": (CodeArea(HOSTILE, (HOSTILE,)),)},
    "dependencies": {"dependencies": HOSTILE_CHANGE},
    "stages": {"stages": (HOSTILE,)},
    "budget": {"budgets": (replace(BUDGET, name=HOSTILE, reason=HOSTILE),)},
    "format": {"model_format": HOSTILE},
    "claims": {"claims": (HOSTILE,)},
    "champion": {"champion": Champion(HOSTILE, HOSTILE, "unpaired", HOSTILE)},
    "commit": {"commit": HOSTILE},
    "stale": {"lock": LockState(stale=(HOSTILE,))},
    "missing": {"lock": LockState(missing=(HOSTILE,))},
    "unpushed": {"lock": LockState(unpushed=(HOSTILE,))},
    "breaks": {"contract": Contract("breaking", (HOSTILE,))},
    "metric": {"metrics": (replace(GOOD, name=HOSTILE, verdict=Verdict.WORSE, reason=HOSTILE),)},
    "factory": {"owned_changes": (HOSTILE,)},
    "segment": {"segments": (replace(SEGMENT, name=HOSTILE),)},
    "remark": {"remarks": (HOSTILE,)},
}


@pytest.mark.parametrize("place", HOSTILE_PLACES)
def test_hostile_text_stays_in_its_code_span(place: str) -> None:
    text = report.render(review(**HOSTILE_PLACES[place]))
    outside = re.sub(r"`[^`\n]*`", "", text)
    shown = HOSTILE[:9].replace("`", "ˋ").replace("|", "¦")  # all of the commit that is shown
    assert shown in text and ("evil" in text or place == "commit")
    for harm in ("evil", "@acme", "<!--", "<img", "mermaid", "**bold", "$(rm)", "\u202e"):
        assert harm not in outside, harm
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(widths) <= {4, 6, 7, 8}  # no cell more than the four tables have


def test_a_chart_is_mermaid_with_its_legend_in_the_text() -> None:
    text = report.render(review(charts=(CHART,)))
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
    for given in Verdict:
        assert f"| {tables.MARKS[given]} {given.value} |" in text, given
    sections = (gates.Gates, gates.Gate, gates.SegmentGates, gates.Gains, gates.Waiver)
    keys = [key for section in sections for key in section.model_fields]
    for key in (*keys, *gates.BUDGETS, "not_worse", "non_inferior", "better"):
        assert re.search(rf"\b{key}\b", text), key


def test_segments_are_folded_worst_first() -> None:
    worst = replace(SEGMENT, name="plan = b", difference=-0.2, verdict=Verdict.WORSE, reason="plan = b: worse")
    text = report.render(review(segments=(SEGMENT, worst)))
    assert text.startswith("⛔ **Blocked**: `plan = b: worse`")
    assert "<summary>Segments (2)</summary>" in text and text.index("`plan = b` |") < text.index("`plan = a` |")


def test_a_huge_change_is_cut_with_a_note() -> None:
    rows = tuple(Change(f"p{i}" * 80, "x" * 500, "y" * 500) for i in range(5000))
    text = report.render(review(params=rows))
    assert len(text) < 65_536
    assert "more" in text
    assert text.count("<details>") == text.count("</details>")


def test_a_comment_that_is_too_long_loses_whole_parts() -> None:
    wide = replace(INTERVAL, low=10.0**300, high=10.0**300)
    rows = tuple(replace(SEGMENT, name=f"{i} = {'x' * 150}", interval=wide) for i in range(60))
    change = tuple(Change(f"p{i}" * 80, "x" * 500, "y" * 500) for i in range(60))
    text = report.render(review(segments=rows, params=change, charts=(CHART,)))
    assert 20_000 < len(text) < 65_536
    assert text.endswith("\n\n… cut: `report.html` holds the whole report.\n")
    assert text.count("<details>") == text.count("</details>") and text.count("```") % 2 == 0


def test_a_chart_has_no_exponents() -> None:
    chart = replace(CHART, y=Axis("true positive rate", 0, 2e6), series=(Series("champion", (1e-7, 123456789.0)),))
    text = report.render(review(charts=(chart,)))
    assert "line [0.0000001, 123457000]" in text and "0 --> 2000000" in text


def test_the_verdict_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "review.json"
    needs = {"check": {"result": "success"}, "review": {"result": "success"}}
    path.write_text(codec.dumps(review(segments=(SEGMENT,))))
    assert verdict.print_verdict(verdict.Sources(path), json.dumps(needs)) == 0
    assert "- `these rows can't tell for 1 of 1 segments" in capsys.readouterr().out
    assert verdict.print_verdict(verdict.Sources(path), json.dumps(needs | {"check": {"result": "failure"}})) == 1
    assert "the job `check` did not succeed" in capsys.readouterr().out
    path.write_text(codec.dumps(review(lock=LockState(stale=("x",)))))
    assert verdict.print_verdict(verdict.Sources(path), "") == 1
    assert "dvc.lock is stale: x" in capsys.readouterr().out


def test_without_a_review_a_failed_job_explains_itself(tmp_path: Path) -> None:
    assert verdict.print_verdict(verdict.Sources(tmp_path / "none.json"), '{"review": {"result": "failure"}}') == 1
    with pytest.raises(CommandError, match="there is no review"):
        verdict.print_verdict(verdict.Sources(tmp_path / "none.json"), '{"review": {"result": "success"}}')


FULL = review(
    **{name: value for parts in HOSTILE_PLACES.values() for name, value in parts.items()},
    charts=(CHART,),
    value=(ValueRow("champion", None, 0.0), ValueRow("challenger", 0.5, 9214.2)),
)


@pytest.mark.parametrize("given", [review(), FULL], ids=["plain", "full"])
def test_a_review_is_written_and_read_whole(tmp_path: Path, given: Review) -> None:
    path = tmp_path / "review.json"
    path.write_text(codec.dumps(given))
    assert verdict.read(path) == given
    assert json.loads(path.read_text())["verdict"] == given.verdict.value


def test_a_long_text_is_cut_when_it_is_written_and_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_text(codec.dumps(review(params=(Change("p" * 3000, "x" * codec.TEXT_LIMIT, ""),))))
    (change,) = verdict.read(path).facts.changes.params
    assert (change.name, change.champion) == ("p" * (codec.TEXT_LIMIT - 1) + "…", "x" * codec.TEXT_LIMIT)


def test_a_number_that_json_does_not_have_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.dumps(review(metrics=(replace(GOOD, challenger=float("nan")),)))


def edited(*path: str | int, value: Any = None, drop: bool = False) -> str:
    """Return the JSON of a full review with one value replaced, added or taken out."""
    content = json.loads(codec.dumps(review(segments=(SEGMENT,), charts=(CHART,), budgets=(BUDGET,))))
    place = content
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content)


METRIC = ("facts", "judgement", "metrics", 0)
DRAWN = ("facts", "charts", 0)
REFUSED = {
    "a list": ("[]", "the file is not an object"),
    "null": ("null", "the file is not an object"),
    "no JSON": ("{", "it is not JSON"),
    "not UTF-8": ("\udcff", "can't decode byte"),
    "deep": ("[" * 100_000, "it is not JSON"),
    "empty": ("", "it is not JSON"),
    "another form": ('{"format": 99}', "the file has no 'verdict'"),
    "another format": (edited("format", value=1), "it has the format 1"),
    "true as number": (edited("format", value=True), "the file.format is not a number"),
    "unknown verdict": (
        edited("verdict", value="fine"),
        "the file.verdict is none of pass, warn, block",
    ),
    "unhashable verdict": (edited("verdict", value=["pass"]), "the file.verdict is none of pass, "),
    "reasons as text": (edited("reasons", value="none"), "the file.reasons is not a list"),
    "a reason as number": (edited("reasons", value=[3]), "the file.reasons[0] is not a text"),
    "unknown row verdict": (
        edited(*METRIC, "verdict", value="great"),
        "metrics[0].verdict is none of better, no worse",
    ),
    "text as number": (edited(*METRIC, "challenger", value="| 1 |"), "metrics[0].challenger is not a number"),
    "NaN": (edited(*METRIC, "challenger", value=float("nan")), "NaN is not a number"),
    "infinity": (
        edited(*METRIC, "challenger", value=1).replace('"challenger": 1,', '"challenger": 1e999,'),
        "challenger is not",
    ),
    "thousand digits": (edited(*METRIC, "tolerance", value=10**400), "metrics[0].tolerance is not a number"),
    "half an interval": (edited(*METRIC, "interval", "low", drop=True), "metrics[0].interval has no 'low'"),
    "no tolerance": (edited(*METRIC, "tolerance", value=None), "metrics[0].tolerance is not a number"),
    "own requirement": (edited(*METRIC, "require", value="<b>"), "metrics[0].require is none of not_worse, "),
    "rows as text": (edited("facts", "judgement", "rows", value="<b>"), "facts.judgement.rows is not a whole number"),
    "rows as float": (edited("facts", "judgement", "rows", value=1.5), "facts.judgement.rows is not a whole number"),
    "fork as text": (edited("facts", "fork", value="no"), "facts.fork is not true or false"),
    "own state": (edited("facts", "champion", "state", value="beaten"), "champion.state is none of paired, unpaired"),
    "own change": (
        edited("facts", "changes", "contract", "change", value=HOSTILE),
        "contract.change is none of none, ",
    ),
    "missing part": (edited("facts", "lock", drop=True), "the file.facts has no 'lock'"),
    "extra part": (edited("facts", "html", value="<b>"), "the file.facts has an unknown key 'html'"),
    "extra key of a row": (edited(*METRIC, "note", value="x"), "metrics[0] has an unknown key 'note'"),
    "long text": (edited("facts", "commit", value="c" * 2001), "facts.commit is not a text of at most 2000 characters"),
    "chart title": (edited(*DRAWN, "title", value="ROC curve\n```\n# h"), "charts[0]: not a chart of ours"),
    "chart series": (edited(*DRAWN, "series", 0, "name", value="x]\nline"), "charts[0]: not a chart of ours"),
    "chart axis": (edited(*DRAWN, "x", "name", value="<b>"), "charts[0]: not a chart of ours"),
    "chart value": (edited(*DRAWN, "series", 0, "values", value=["1]"]), "series[0].values[0] is not a number"),
    "too large": (" " * (verdict.SIZE_LIMIT + 1), "is larger than a review can be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_review_that_is_none_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    text, words = REFUSED[case]
    path = tmp_path / "review.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(CommandError) as stop:
        verdict.read(path)
    assert words in str(stop.value) and str(path) in str(stop.value)
    assert "\n" not in str(stop.value) and len(str(stop.value)) < 500


def test_what_the_privileged_jobs_import_is_the_standard_library_alone() -> None:
    source = Path(report.__file__).parents[2]
    imports = "import gitops.__main__, gitops.review.verdict"
    code = f"import sys; sys.path.insert(0, {str(source)!r}); {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], text=True, capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "gitops" in loaded and loaded - {"gitops", "__main__"} <= set(sys.stdlib_module_names)


def test_a_broken_budget_blocks_in_sight_and_a_kept_one_is_folded() -> None:
    limits = {"model_mb": 1.5, "image_mb": 300.0}
    kept = budgets.check_budgets(limits, {"model_mb": 1.2, "p95_ms": 0.1}, {"model_mb": 1.0})
    assert [row.verdict.value for row in kept] == ["within the budget", "no limit", "not measured here"]
    text = report.render(review(budgets=kept))
    assert "<details><summary>Size and speed</summary>" in text and "| `model file (MB)` | 1 | 1.2 | 1.5 | ✅" in text
    broken = review(budgets=budgets.check_budgets(limits, {"model_mb": 2.0}, {}))
    assert broken.verdict is Outcome.BLOCKS
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
    kept = budgets.check_budgets({}, {"model_mb": 1.2}, {"model_mb": 1.0})
    lines = report.render(review(budgets=kept, model_format=told)).splitlines()
    assert line in lines and any("| `model file (MB)` | 1 | 1.2 |" in row for row in lines)
    assert ("<details><summary>Size and speed</summary>" in lines) == (told == "onnx")


def test_what_changed_is_told_by_area_with_the_stages_that_ran() -> None:
    code = (CodeArea("model", ("src/model/train.py (−1 +3)",)), CodeArea("tests", ("t.py (−0 +1)",) * 40))
    text = report.render(review(code=code, stages=("train", "evaluate")))
    assert "- `model`: `src/model/train.py (−1 +3)`\n" in text and " and 10 more\n" in text
    assert "- stages that ran again: `train`, `evaluate`\n" in text and "What changed (41)" in text
