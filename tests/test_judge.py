"""The judge: a pure function of two tables and the gates."""

import json
import math
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gitops import gates
from gitops.review.charts import model_charts
from gitops.review.decide import beside, decide_metric, decide_segments
from gitops.review.judge import judge_files, judge_predictions
from gitops.review.metrics import FAST, find
from gitops.review.record import Comparison, Interval, Judgement, MetricRow, SegmentRow, Verdict
from gitops.shell import CommandError
from sklearn import metrics

ROWS = 1409
WAIVER = {"metric": "roc_auc", "reason": "the sensor is new", "who": "@dana", "until": date(2027, 1, 31)}


def table(noise: float, seed: int = 1, rows: int = ROWS) -> pd.DataFrame:
    """Return predictions of a classifier; more noise is a worse model of the same world."""
    world, random = np.random.default_rng(7), np.random.default_rng(seed)
    signal = world.normal(size=rows)
    truth = (world.normal(size=rows) < signal - 0.6).astype(float)
    score = 1 / (1 + np.exp(-(1.4 * signal - 1 + noise * random.normal(size=rows))))
    return pd.DataFrame({"id": [f"C{i:05}" for i in range(rows)], "truth": truth, "score": score})


def judge(
    champion: pd.DataFrame | None, challenger: pd.DataFrame, content: dict[str, Any], today: date | None = None
) -> Judgement:
    """Judge by the content of a gates.yaml."""
    return judge_predictions(champion, challenger, gates.check(content), today)


def one(champion: pd.DataFrame | None, challenger: pd.DataFrame, **gate: object) -> MetricRow:
    """Judge by ROC AUC alone."""
    return judge(champion, challenger, {"metrics": {"roc_auc": gate}}).metrics[0]


def loss(row: SegmentRow) -> float:
    assert row.difference is not None
    return -row.difference


def value(row: MetricRow) -> float:
    assert row.challenger is not None
    return row.challenger


def interval(row: SegmentRow) -> Interval:
    assert row.interval is not None
    return row.interval


def test_a_clearly_worse_model_is_worse_and_the_reason_says_by_how_much() -> None:
    row = one(table(0.2), table(3.0), tolerance=0.01)
    assert row.verdict is Verdict.WORSE
    assert row.reason == f"roc_auc is {loss(row):.4f} worse than the champion (tolerance 0.01), beyond chance"
    assert interval(row).low < -loss(row) < interval(row).high < 0


def test_a_clearly_better_model_is_better() -> None:
    row = one(table(3.0), table(0.2))
    assert (row.verdict, row.reason) == (Verdict.BETTER, "")
    assert interval(row).low > 0


def test_the_same_model_in_another_order_is_no_worse() -> None:
    row = one(table(1.0), table(1.0).sample(frac=1, random_state=3))
    assert (row.verdict, row.difference) == (Verdict.NO_WORSE, 0)
    assert (interval(row).low, interval(row).high, interval(row).p_value) == (0, 0, 1)


def test_a_loss_that_the_tolerance_covers_passes() -> None:
    assert one(table(0.2), table(3.0), tolerance=0.5).verdict is Verdict.WITHIN_THE_TOLERANCE


def test_a_small_test_set_can_not_tell_and_says_what_it_would_show() -> None:
    judgement = judge(table(0.2, rows=40), table(1.2, seed=5, rows=40), {"metrics": {"roc_auc": {}}})
    row = judgement.metrics[0]
    assert loss(row) > 0 < interval(row).high and row.verdict is Verdict.CANNOT_TELL
    assert row.reason.endswith(f"these rows show differences from {interval(row).minimum_detectable_effect:.4f} on")
    assert judgement.remarks == (
        "40 held-out rows are too few to compare models: hold out more, or read this as a hint",
    )


def test_what_can_be_required() -> None:
    same, unsure = (table(1.0), table(1.0)), (table(0.2, rows=40), table(1.2, seed=5, rows=40))
    assert one(*same, require="non_inferior", tolerance=0.01).verdict is Verdict.NO_WORSE
    assert one(*unsure, require="non_inferior", tolerance=0.01).verdict is Verdict.NOT_SHOWN
    assert one(*same, require="better").verdict is Verdict.NOT_SHOWN
    assert one(table(3.0), table(0.2), require="better").verdict is Verdict.BETTER
    assert one(table(0.2), table(3.0), require="better").verdict is Verdict.WORSE


def test_below_the_floor_blocks_also_without_a_champion() -> None:
    row = one(None, table(3.0), floor=0.95)
    assert row.verdict is Verdict.BELOW_FLOOR
    assert row.reason == f"roc_auc {value(row):.4f} is below its floor 0.95 by {0.95 - value(row):.4f}"
    assert one(None, table(0.2), floor=0.5).verdict is Verdict.MEETS_THE_GATE


def test_less_is_better_for_an_error() -> None:
    good = pd.DataFrame(
        {"id": list("abcdef"), "truth": [1.0, 2, 3, 4, 5, 60], "score": [1.1, 2.1, 3.1, 4.1, 5.1, 60.1]}
    )
    bad = good.assign(score=good["score"] + 9)
    row = judge(good, bad, {"metrics": {"mae": {"floor": 5, "tolerance": 1}}}).metrics[0]
    assert (row.verdict, row.reason) == (Verdict.BELOW_FLOOR, "mae 9.1000 is above its limit 5 by 4.1000")
    assert judge(bad, good, {"metrics": {"mae": {}}}).metrics[0].verdict is Verdict.BETTER


@pytest.mark.parametrize("score", [np.nan, np.inf])
@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "average_precision", "accuracy", "mae"])
def test_a_score_that_is_no_number_blocks(metric: str, score: float) -> None:
    broken = table(1.0)
    broken.loc[3, "score"] = score
    assert judge(table(1.0), broken, {"metrics": {metric: {}}}).metrics[0].verdict is Verdict.MISSING


def test_a_single_class_has_no_roc_auc() -> None:
    assert one(None, table(1.0).assign(truth=1.0)).verdict is Verdict.MISSING


@pytest.mark.parametrize("name", [*FAST])
def test_the_fast_metrics_are_scikit_learns(name: str) -> None:
    random = np.random.default_rng(0)
    truth, weights = (random.random(400) < 0.3).astype(float), random.integers(0, 4, (3, 400)).astype(float)
    score = np.round(0.5 * random.random(400) + 0.3 * truth, 2)  # many ties
    reference = {
        "roc_auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "log_loss": metrics.log_loss,
        "brier": metrics.brier_score_loss,
        "r2": metrics.r2_score,
        "mae": metrics.mean_absolute_error,
        "rmse": metrics.root_mean_squared_error,
    }[name]
    expected = [reference(truth, score, sample_weight=row) for row in weights]
    np.testing.assert_allclose(find(name).prepare(truth, score)(weights), expected, rtol=1e-12)


def test_any_scikit_learn_scorer_and_an_own_metric(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "profit.py").write_text(
        "def late(truth, score, weight):\n    return weight[score > 0.5].sum()\nlate.less_is_better = True\n"
    )
    content: dict[str, Any] = {"metrics": {"balanced_accuracy": {}, "neg_log_loss": {}, "profit:late": {}}}
    rows = judge(table(0.2), table(3.0), content).metrics
    assert [row.more_is_better for row in rows] == [True, True, False]
    assert rows[0].challenger == metrics.balanced_accuracy_score(table(3.0)["truth"], table(3.0)["score"] >= 0.5)
    assert rows[1].verdict is Verdict.WORSE
    assert rows[2].challenger == (table(3.0)["score"] > 0.5).sum()


def grouped(noise: float, bad: int = -1) -> pd.DataFrame:
    """Return predictions with ten segments, one of which may be scored at random."""
    made = table(noise, rows=4000).assign(region=np.arange(4000) % 10)
    made.loc[made["region"] == bad, "score"] = np.random.default_rng(5).random((made["region"] == bad).sum())
    return made


def test_a_ruined_segment_blocks_and_is_named() -> None:
    content = {"metrics": {"roc_auc": {"tolerance": 0.2}}, "segments": {"columns": ["region"], "tolerance": 0.05}}
    judgement = judge(grouped(0.5), grouped(0.6, bad=7), content)
    assert judgement.metrics[0].verdict is not Verdict.WORSE
    assert [row.name for row in judgement.segments if row.verdict is Verdict.WORSE] == ["region = 7"]
    assert [row.rows for row in judgement.segments] == [400] * 10


def measured(difference: float | None, low: float = 0.0, high: float = 0.0, error: float = 0.01) -> Comparison:
    """Return a comparison with this interval and standard error."""
    found = None
    if difference is not None:
        p_value = NormalDist().cdf(difference / error)
        effect = 2.8 * error
        found = Interval(low=low, high=high, standard_error=error, p_value=p_value, minimum_detectable_effect=effect)
    champion, challenger = (None, None) if difference is None else (0.8, 0.8 + difference)
    return Comparison(
        rows=364,
        more_is_better=True,
        champion=champion,
        challenger=challenger,
        difference=difference,
        interval=found,
    )


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (measured(-0.037, -0.162, 0.074, 0.06), Verdict.CANNOT_TELL),  # once "no sign of a loss"
        (measured(0.001, -0.029, 0.031, 0.015), Verdict.NO_WORSE),
        (measured(0.04, -0.031, 0.111, 0.036), Verdict.CANNOT_TELL),  # a gain by the numbers, and few rows
        (measured(0.04, 0.01, 0.07, 0.015), Verdict.NO_WORSE),
        (measured(-0.02, -0.028, -0.012, 0.004), Verdict.WITHIN_THE_TOLERANCE),  # a loss that is shown, and small
        (measured(-0.028, -0.036, -0.02, 0.004), Verdict.CANNOT_TELL),  # shown, and maybe too large
        (measured(-0.05, -0.09, -0.01, 0.02), Verdict.MAY_BE_CHANCE),
        (measured(-0.05, -0.06, -0.04, 0.005), Verdict.WORSE),
        (measured(None), Verdict.CANNOT_TELL),  # a single class
    ],
)
def test_a_segment_is_green_only_when_a_loss_beyond_the_tolerance_is_excluded(
    comparison: Comparison, verdict: Verdict
) -> None:
    settings = gates.SegmentGates(tolerance=0.03)
    rows = decide_segments({"a": comparison, **{str(number): measured(0.0) for number in range(5)}}, settings)
    assert rows[0].verdict is verdict
    assert bool(rows[0].reason) == verdict.blocks


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (measured(0.02, 0.005, 0.035), Verdict.BETTER),
        (measured(-0.001, -0.009, 0.007, 0.004), Verdict.NO_WORSE),
        (measured(0.001, -0.011, 0.013, 0.006), Verdict.CANNOT_TELL),
        (measured(-0.009, -0.0099, -0.008, 0.0005), Verdict.WITHIN_THE_TOLERANCE),
        (measured(-0.03, -0.04, -0.02, 0.005), Verdict.WORSE),
        (Comparison(rows=9, more_is_better=True, champion=None, challenger=0.8, difference=None), Verdict.CANNOT_TELL),
    ],
)
def test_a_metric_is_green_only_when_a_loss_beyond_the_tolerance_is_excluded(
    comparison: Comparison, verdict: Verdict
) -> None:
    row = decide_metric("roc_auc", gates.Gate(tolerance=0.01), comparison, champion=True)
    assert row.verdict is verdict
    assert bool(row.reason) == (verdict in (Verdict.WORSE, Verdict.CANNOT_TELL))


def test_green_rows_exclude_the_loss_in_simulated_reviews() -> None:
    content = {"metrics": {"roc_auc": {"tolerance": 0.02}}, "segments": {"columns": ["region"], "tolerance": 0.03}}
    green = {Verdict.BETTER, Verdict.NO_WORSE, Verdict.WITHIN_THE_TOLERANCE}
    seen = set()
    for noise in (0.5, 0.55, 0.6, 1.0):
        judgement = judge(grouped(0.5), grouped(noise), content)
        for row in (*judgement.metrics, *judgement.segments):
            seen.add(row.verdict)
            assert (row.verdict in green) == (interval(row).low >= -row.tolerance), row
    assert {Verdict.NO_WORSE, Verdict.CANNOT_TELL} <= seen


def test_a_loss_in_one_of_many_segments_may_be_chance() -> None:
    content = {"metrics": {"roc_auc": {"tolerance": 0.2}}, "segments": {"columns": ["region"]}}
    rows = judge(grouped(0.5), grouped(0.6), content).segments
    strength = {
        verdict: [loss(row) / interval(row).standard_error for row in rows if row.verdict is verdict]
        for verdict in Verdict
    }
    assert 1.96 < max(strength[Verdict.MAY_BE_CHANCE]) < min(strength[Verdict.WORSE])


def test_small_segments_are_not_judged() -> None:
    content: dict[str, Any] = {"metrics": {"roc_auc": {}}, "segments": {"columns": ["region"], "min_rows": 401}}
    assert judge(grouped(0.5), grouped(0.6, bad=7), content).segments == ()


def test_a_waiver_lets_a_known_loss_pass_until_its_day() -> None:
    content = {"metrics": {"roc_auc": {"floor": 0.99}}, "waivers": [WAIVER]}
    row = judge(None, table(1.0), content, date(2027, 1, 31)).metrics[0]
    assert row.verdict is Verdict.WAIVED
    assert row.reason.endswith("(waived until 2027-01-31 by @dana: the sensor is new)")
    late = judge(None, table(1.0), content, date(2027, 2, 1))
    assert late.metrics[0].verdict is Verdict.BELOW_FLOOR
    assert late.remarks == ("the waiver for roc_auc ended on 2027-01-31: take it out of gates.yaml",)


def test_a_missing_value_can_not_be_waived() -> None:
    waiver = {"metric": "roc_auc", "reason": "r", "who": "@dana", "until": date(2099, 1, 1)}
    broken = table(1.0).assign(score=np.nan)
    row = judge(None, broken, {"metrics": {"roc_auc": {}}, "waivers": [waiver]}).metrics[0]
    assert row.verdict is Verdict.MISSING


def test_value_finds_the_threshold_that_pays() -> None:
    scores = pd.DataFrame({"id": list("abcd"), "truth": [1.0, 0, 1, 0], "score": [0.9, 0.6, 0.5, 0.1]})
    gain = {"true_positive": 100, "false_positive": -30, "false_negative": 0, "true_negative": 0}
    (found,) = judge(None, scores, {"metrics": {"roc_auc": {}}, "value": gain}).value
    assert (found.model, found.threshold, found.per_1000) == ("challenger", 0.5, (200 - 30) * 1000 / 4)
    gain |= {"true_positive": -1}
    (found,) = judge(None, scores, {"metrics": {"roc_auc": {}}, "value": gain}).value
    assert (found.threshold, found.per_1000) == (None, 0), "doing nothing costs nothing"


def test_a_leak_is_too_good_to_be_true() -> None:
    leak = table(1.0)
    leak["score"] = 0.2 + 0.6 * leak["truth"]
    remarks = judge(table(1.0), leak, {"metrics": {"roc_auc": {}}}).remarks
    words = "roc_auc 1.0000 is suspiciously better than the champion's 0.7676: does a column know the answer?"
    assert remarks == (words,)


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (table(1.0).iloc[1:], "not scored on the same rows"),
        (table(1.0).assign(truth=lambda rows: 1 - rows["truth"]), "not scored on the same rows"),
        (table(1.0).drop(columns="score"), "the champion's predictions have no column 'score'"),
        (table(1.0).assign(id="C1"), "have the id 'C1' twice"),
        (table(1.0).iloc[:0], "the champion's predictions have no row"),
    ],
    ids=["other rows", "other truth", "no score", "an id twice", "no row"],
)
def test_tables_that_can_not_be_compared_are_refused(champion: pd.DataFrame, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        one(champion, table(1.0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "names no metric"),
        ([], "must be a mapping with `metrics:`"),
        ({"metrics": []}, "metrics is not a mapping of names of metrics"),
        ({"metrics": {"auc": {}}}, "'auc', which is none of roc_auc, "),
        ({"metrics": {"roc_auc": {"flor": 0.8}}}, "metrics.roc_auc has no 'flor'; it knows floor, tolerance, require"),
        ({"metrics": {"roc_auc": {"floor": "0.8"}}}, "metrics.roc_auc.floor is '0.8', which is not a number"),
        ({"metrics": {"roc_auc": {"floor": float("nan")}}}, "which is not a number"),
        ({"metrics": {"roc_auc": {"floor": True}}}, "metrics.roc_auc.floor is True, which is not a number"),
        ({"metrics": {"roc_auc": {"floor": None}}}, "metrics.roc_auc has an empty floor: give it a value, or take"),
        ({"metrics": {"roc_auc": {"tolerance": -0.1}}}, "tolerance is -0.1, and the least that it can be is 0"),
        ({"metrics": {"roc_auc": {"require": "best"}}}, "require is 'best', which is none of not_worse, "),
        ({"metrics": {"roc_auc": 0.8}}, "metrics.roc_auc is not a mapping of floor, tolerance, require"),
        ({"metrics": {"nowhere:f": {}}}, "'nowhere:f', which can't be imported"),
        (
            {"metrics": {"roc_auc": {}}, "baseline": "staging"},
            "baseline is 'staging', which is none of main, production",
        ),
        ({"metrics": {"roc_auc": {}}, "budgets": {"p95": 1}}, "budgets has no 'p95'; it knows training_seconds, "),
        ({"metrics": {"roc_auc": {}}, "budgets": {"p95_ms": "1"}}, "budgets.p95_ms is '1', which is not a number"),
        ({"metrics": {"roc_auc": {}}, "segment": {}}, "the file has no 'segment'; it knows metrics, baseline, "),
        ({"metrics": {"roc_auc": {}}, 3: {}}, "the file has no '3'"),
        ({"metrics": {"roc_auc": {}}, "segments": {"columns": "x"}}, "segments.columns is 'x', which is not a list"),
        ({"metrics": {"roc_auc": {}}, "segments": {"columns": [3]}}, "columns.0 is 3, which is not a text: write one"),
        ({"metrics": {"roc_auc": {}}, "segments": {"min_rows": 1.5}}, "is 1.5, which is not a whole number"),
        ({"metrics": {"roc_auc": {}}, "segments": {"columns": ["x"]}}, "names 'x', which the predictions don't have"),
        ({"metrics": {"roc_auc": {}}, "value": {"true_positive": 1}}, "value needs true_positive, false_positive, "),
        ({"metrics": {"roc_auc": {}}, "value": {"true_positive": 1}}, "and has no false_positive"),
        (
            {"metrics": {"roc_auc": {}}, "waivers": [{"metric": "roc_auc"}]},
            "waivers.0 needs metric, reason, who, until",
        ),
        ({"metrics": {"roc_auc": {}}, "waivers": {"metric": "roc_auc"}}, "which is not a list"),
        (
            {"metrics": {"roc_auc": {}}, "waivers": [WAIVER | {"until": "soon"}]},
            "is 'soon', which is no day like 2027-",
        ),
        ({"metrics": {"roc_auc": {}}, "waivers": [WAIVER | {"who": ""}]}, "waivers.0.who is '', which is not a text"),
    ],
)
def test_gates_that_can_not_be_read_are_refused(content: dict[str, object], words: str) -> None:
    with pytest.raises(CommandError, match=re.escape(words)) as stop:
        judge(table(1.0), table(1.0), content)
    assert (
        str(stop.value).startswith("gates.yaml") and "\n" not in str(stop.value) and "pydantic" not in str(stop.value)
    )


@pytest.mark.parametrize("text", ["metrics: {roc_auc: }", "metrics: {roc_auc: {}}\nwaivers:\nsegments:\nbudgets:"])
def test_a_part_of_the_gates_that_is_left_empty_is_none(text: str) -> None:
    found = gates.read(text)
    assert found.metrics == {"roc_auc": gates.Gate()} and not (found.waivers or found.budgets or found.segments.columns)


@pytest.mark.parametrize("text", [None, "", "- a", "metrics: {", "a: 2027-02-31", "\0"])
def test_a_file_that_is_no_gates_yaml_is_one_sentence(text: str | None) -> None:
    with pytest.raises(CommandError, match=r"gates\.yaml (is not valid YAML|must be a mapping)") as stop:
        gates.read(text)
    assert "\n" not in str(stop.value)


def test_the_answer_is_the_same_twice() -> None:
    assert one(table(0.5), table(0.7)) == one(table(0.5), table(0.7))


def test_a_champion_on_other_rows_is_never_green() -> None:
    alone = one(None, table(0.2), floor=0.5, tolerance=0.01)
    assert alone.verdict is Verdict.MEETS_THE_GATE
    for committed, words in (
        (value(alone) + 0.2, "roc_auc is 0.2000 worse, but on other rows than the champion's"),
        (value(alone) - 0.2, "roc_auc can't be compared with the champion's, which was measured on other rows"),
        (None, "roc_auc can't be compared with the champion's, which was measured on other rows"),
    ):
        row = beside(alone, committed)
        assert (row.verdict, row.reason, row.champion) == (Verdict.CANNOT_TELL, words, committed)
    below = one(None, table(3.0), floor=0.95)
    assert beside(below, 0.9) == replace(below, champion=0.9, difference=value(below) - 0.9)


def test_the_command_says_what_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, path, out = (tmp_path / name for name in ("old.parquet", "new.parquet", "gates.yaml", "out.json"))
    table(0.2).to_parquet(old)
    table(3.0).to_parquet(new)
    path.write_text("metrics: {roc_auc: {tolerance: 0.01}}")
    assert judge_files(old, new, path, out) == 1
    said = capsys.readouterr().out
    assert "⛔ worse |" in said and "worse than the champion (tolerance 0.01), beyond chance" in said
    assert json.loads(out.read_text())["metrics"][0]["verdict"] == "worse"
    assert judge_files(new, old, path, None) == 0
    with pytest.raises(CommandError, match="can't be read"):
        judge_files(tmp_path / "none.parquet", new, path, None)


def classes(right: float, seed: int = 1, rows: int = 600) -> pd.DataFrame:
    """Return answers of a model of three classes, of which a share is right."""
    truth = np.array(["basic", "plus", "pro"])[np.random.default_rng(3).choice(3, rows, p=[0.6, 0.3, 0.1])]
    random = np.random.default_rng(seed)
    answer = np.where(random.random(rows) < right, truth, random.permutation(truth))
    return pd.DataFrame({"id": np.arange(rows).astype(str), "truth": truth, "score": answer})


def test_named_classes_are_judged_by_their_labels() -> None:
    content = {"metrics": {"accuracy": {"tolerance": 0.01}, "f1_macro": {}}}
    judgement = judge(classes(0.9), classes(0.4, seed=2), content)
    worse = classes(0.4, seed=2)
    assert judgement.metrics[0].challenger == (worse["truth"] == worse["score"]).mean()
    expected = metrics.f1_score(worse["truth"], worse["score"], average="macro")
    assert judgement.metrics[1].challenger == pytest.approx(expected)
    assert [row.verdict for row in judgement.metrics] == [Verdict.WORSE, Verdict.WORSE]
    assert judge(classes(0.4), classes(0.9), content).metrics[0].verdict is Verdict.BETTER
    (chart,) = model_charts(classes(0.9), worse)
    recall = metrics.recall_score(worse["truth"], worse["score"], average=None)
    assert chart.series[1].values == pytest.approx(recall, abs=1e-3)


@pytest.mark.parametrize("score", [None, np.nan])
def test_a_class_that_is_not_answered_is_missing(score: float | None) -> None:
    broken = classes(0.9)
    broken.loc[3, "score"] = score
    assert judge(classes(0.9), broken, {"metrics": {"accuracy": {}}}).metrics[0].verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("predictions", "metric", "words"),
    [
        (classes(0.9), "roc_auc", "roc_auc needs a number as score, and these are names of classes: use accuracy, "),
        (classes(0.9), "neg_log_loss", "neg_log_loss needs a number as score"),
        (classes(0.9).assign(score=1.0), "accuracy", "truth and score are not of one kind"),
        (table(1.0).assign(truth=3.7), "roc_auc", "roc_auc needs a truth of 0 and 1, and here it is a number: use r2"),
        (table(1.0).assign(truth=3.7), "accuracy", "accuracy compares classes, and here the truth is a number"),
    ],
)
def test_a_metric_that_does_not_suit_the_target_is_refused(predictions: pd.DataFrame, metric: str, words: str) -> None:
    with pytest.raises(CommandError, match=re.escape(words)):
        judge(None, predictions, {"metrics": {metric: {}}})


def test_a_rare_class_is_in_every_draw_and_is_told() -> None:
    rare = table(0.2).assign(truth=lambda rows: (rows["score"].rank() > ROWS - 12).astype(float))
    judgement = judge(rare, rare.assign(score=table(0.3)["score"]), {"metrics": {"roc_auc": {}}})
    assert math.isfinite(interval(judgement.metrics[0]).low)
    assert judgement.remarks[0] == (
        "the rarest class has only 12 held-out rows: hold out more, or read intervals as a hint"
    )
