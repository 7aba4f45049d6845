"""The judge: a pure function of two tables and the gates."""

import json
import math
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gitops.review.charts import charts
from gitops.review.decide import decide
from gitops.review.judge import compare, judge
from gitops.review.metrics import FAST, find
from gitops.shell import Stop
from sklearn import metrics

ROWS = 1409


def table(noise: float, seed: int = 1, rows: int = ROWS) -> pd.DataFrame:
    """Return predictions of a classifier; more noise is a worse model of the same world."""
    world, random = np.random.default_rng(7), np.random.default_rng(seed)
    signal = world.normal(size=rows)
    truth = (world.normal(size=rows) < signal - 0.6).astype(float)
    score = 1 / (1 + np.exp(-(1.4 * signal - 1 + noise * random.normal(size=rows))))
    return pd.DataFrame({"id": [f"C{i:05}" for i in range(rows)], "truth": truth, "score": score})


def one(champion: pd.DataFrame | None, challenger: pd.DataFrame, **gate: object) -> dict[str, Any]:
    """Judge by ROC AUC alone."""
    row: dict[str, Any] = judge(champion, challenger, {"metrics": {"roc_auc": gate}})["metrics"][0]
    return row


def test_a_clearly_worse_model_is_worse_and_the_reason_says_by_how_much() -> None:
    row = one(table(0.2), table(3.0), tolerance=0.01)
    assert row["verdict"] == "worse"
    assert (
        row["reason"] == f"roc_auc is {-row['difference']:.4f} worse than the champion (tolerance 0.01), beyond chance"
    )
    assert row["low"] < row["difference"] < row["high"] < 0


def test_a_clearly_better_model_is_better() -> None:
    row = one(table(3.0), table(0.2))
    assert (row["verdict"], row["reason"]) == ("better", "")
    assert row["low"] > 0


def test_the_same_model_in_another_order_is_no_worse() -> None:
    row = one(table(1.0), table(1.0).sample(frac=1, random_state=3))
    assert (row["verdict"], row["difference"], row["low"], row["high"]) == ("no worse", 0, 0, 0)


def test_a_loss_that_the_tolerance_covers_passes() -> None:
    assert one(table(0.2), table(3.0), tolerance=0.5)["verdict"] == "no worse"


def test_a_small_test_set_is_undecided_and_says_what_it_can_see() -> None:
    judgement = judge(table(0.2, rows=40), table(1.2, seed=5, rows=40), {"metrics": {"roc_auc": {}}})
    row = judgement["metrics"][0]
    assert row["difference"] < 0 < row["high"] and row["verdict"] == "undecided"
    assert row["reason"].endswith(f"these rows show differences from {row['visible']:.4f} on")
    assert judgement["notes"] == [
        "40 held-out rows are too few to compare models: hold out more, or read this as a hint"
    ]


def test_what_can_be_required() -> None:
    same, unsure = (table(1.0), table(1.0)), (table(0.2, rows=40), table(1.2, seed=5, rows=40))
    assert one(*same, require="non_inferior", tolerance=0.01)["verdict"] == "no worse"
    assert one(*unsure, require="non_inferior", tolerance=0.01)["verdict"] == "not shown"
    assert one(*same, require="better")["verdict"] == "not shown"
    assert one(table(3.0), table(0.2), require="better")["verdict"] == "better"
    assert one(table(0.2), table(3.0), require="better")["verdict"] == "worse"


def test_below_the_floor_blocks_also_without_a_champion() -> None:
    row = one(None, table(3.0), floor=0.95)
    assert row["verdict"] == "below floor"
    assert row["reason"] == f"roc_auc {row['challenger']:.4f} is below its floor 0.95 by {0.95 - row['challenger']:.4f}"
    assert one(None, table(0.2), floor=0.5)["verdict"] == "meets the gate"


def test_less_is_better_for_an_error() -> None:
    good = pd.DataFrame(
        {"id": list("abcdef"), "truth": [1.0, 2, 3, 4, 5, 60], "score": [1.1, 2.1, 3.1, 4.1, 5.1, 60.1]}
    )
    bad = good.assign(score=good["score"] + 9)
    row = judge(good, bad, {"metrics": {"mae": {"floor": 5, "tolerance": 1}}})["metrics"][0]
    assert (row["verdict"], row["reason"]) == ("below floor", "mae 9.1000 is above its limit 5 by 4.1000")
    assert judge(bad, good, {"metrics": {"mae": {}}})["metrics"][0]["verdict"] == "better"


@pytest.mark.parametrize("score", [np.nan, np.inf])
@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "average_precision", "accuracy", "mae"])
def test_a_score_that_is_no_number_blocks(metric: str, score: float) -> None:
    broken = table(1.0)
    broken.loc[3, "score"] = score
    assert judge(table(1.0), broken, {"metrics": {metric: {}}})["metrics"][0]["verdict"] == "missing"


def test_a_single_class_has_no_roc_auc() -> None:
    assert one(None, table(1.0).assign(truth=1.0))["verdict"] == "missing"


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
    rows = judge(table(0.2), table(3.0), {"metrics": {"balanced_accuracy": {}, "neg_log_loss": {}, "profit:late": {}}})[
        "metrics"
    ]
    assert [row["more_is_better"] for row in rows] == [True, True, False]
    assert rows[0]["challenger"] == metrics.balanced_accuracy_score(table(3.0)["truth"], table(3.0)["score"] >= 0.5)
    assert rows[1]["verdict"] == "worse"
    assert rows[2]["challenger"] == (table(3.0)["score"] > 0.5).sum()


def grouped(noise: float, bad: int = -1) -> pd.DataFrame:
    """Return predictions with ten segments, one of which may be scored at random."""
    made = table(noise, rows=4000).assign(region=np.arange(4000) % 10)
    made.loc[made["region"] == bad, "score"] = np.random.default_rng(5).random((made["region"] == bad).sum())
    return made


def test_a_ruined_segment_blocks_and_is_named() -> None:
    gates = {"metrics": {"roc_auc": {"tolerance": 0.2}}, "segments": {"columns": ["region"], "tolerance": 0.05}}
    judgement = judge(grouped(0.5), grouped(0.6, bad=7), gates)
    assert judgement["metrics"][0]["verdict"] != "worse"
    assert [row["name"] for row in judgement["segments"] if row["verdict"] == "worse"] == ["region = 7"]
    assert [row["rows"] for row in judgement["segments"]] == [400] * 10


def test_a_segment_that_loses_and_does_not_block_is_marked_and_says_why() -> None:
    gates = {"metrics": {"roc_auc": {"tolerance": 0.2}}, "segments": {"columns": ["region"], "tolerance": 0.6}}
    ruined = judge(grouped(0.5), grouped(0.5, bad=7), gates)["segments"][7]
    assert ruined["high"] < 0 and ruined["verdict"] == "within the tolerance"
    strength: dict[str, list[float]] = {"within the tolerance": [], "may be chance": []}
    for row in judge(grouped(0.5), grouped(0.6), gates)["segments"]:
        strength[row["verdict"]].append(-row["difference"] / row["error"])
    assert 1.96 < max(strength["may be chance"]) < min(strength["within the tolerance"])


def test_small_segments_are_not_judged() -> None:
    gates = {"metrics": {"roc_auc": {}}, "segments": {"columns": ["region"], "min_rows": 401}}
    assert judge(grouped(0.5), grouped(0.6, bad=7), gates)["segments"] == []


def test_a_waiver_lets_a_known_loss_pass_until_its_day() -> None:
    waiver = {"metric": "roc_auc", "reason": "the sensor is new", "who": "@dana", "until": date(2027, 1, 31)}
    gates = {"metrics": {"roc_auc": {"floor": 0.99}}, "waivers": [waiver]}
    row = judge(None, table(1.0), gates, date(2027, 1, 31))["metrics"][0]
    assert row["verdict"] == "waived" and row["reason"].endswith(
        "(waived until 2027-01-31 by @dana: the sensor is new)"
    )
    late = judge(None, table(1.0), gates, date(2027, 2, 1))
    assert late["metrics"][0]["verdict"] == "below floor"
    assert late["notes"] == ["the waiver for roc_auc ended on 2027-01-31: take it out of gates.yaml"]


def test_a_missing_value_can_not_be_waived() -> None:
    waiver = {"metric": "roc_auc", "reason": "r", "who": "@dana", "until": date(2099, 1, 1)}
    broken = table(1.0).assign(score=np.nan)
    assert judge(None, broken, {"metrics": {"roc_auc": {}}, "waivers": [waiver]})["metrics"][0]["verdict"] == "missing"


def test_value_finds_the_threshold_that_pays() -> None:
    scores = pd.DataFrame({"id": list("abcd"), "truth": [1.0, 0, 1, 0], "score": [0.9, 0.6, 0.5, 0.1]})
    gain = {"true_positive": 100, "false_positive": -30, "false_negative": 0, "true_negative": 0}
    found = judge(None, scores, {"metrics": {"roc_auc": {}}, "value": gain})["value"]["challenger"]
    assert found == {"threshold": 0.5, "per_1000": (200 - 30) * 1000 / 4}
    gain |= {"true_positive": -1}
    found = judge(None, scores, {"metrics": {"roc_auc": {}}, "value": gain})["value"]["challenger"]
    assert found == {"threshold": float("inf"), "per_1000": 0}, "doing nothing costs nothing"


def test_a_leak_is_too_good_to_be_true() -> None:
    leak = table(1.0)
    leak["score"] = 0.2 + 0.6 * leak["truth"]
    notes = judge(table(1.0), leak, {"metrics": {"roc_auc": {}}})["notes"]
    assert notes == ["roc_auc 1.0000 is suspiciously better than the champion's 0.7676: does a column know the answer?"]


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
    with pytest.raises(Stop, match=words):
        one(champion, table(1.0))


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ({}, "names no metric"),
        ({"metrics": {"auc": {}}}, "'auc', which is none of roc_auc, "),
        ({"metrics": {"roc_auc": {"flor": 0.8}}}, "metrics.roc_auc has no 'flor'; it knows floor, tolerance, require"),
        ({"metrics": {"roc_auc": {"floor": "0.8"}}}, "metrics.roc_auc.floor is '0.8', which is not a number"),
        ({"metrics": {"roc_auc": {"floor": float("nan")}}}, "which is not a number"),
        ({"metrics": {"roc_auc": {"require": "best"}}}, "require is 'best', which is none of not_worse, "),
        ({"metrics": {"roc_auc": 0.8}}, "metrics.roc_auc is not a mapping"),
        ({"metrics": {"nowhere:f": {}}}, "'nowhere:f', which can't be imported"),
        (
            {"metrics": {"roc_auc": {}}, "baseline": "staging"},
            "baseline is 'staging', which is none of main, production",
        ),
        ({"metrics": {"roc_auc": {}}, "budgets": {"p95": 1}}, "budgets has no 'p95'; it knows training_seconds, "),
        ({"metrics": {"roc_auc": {}}, "budgets": {"p95_ms": "1"}}, "budgets.p95_ms is '1', which is not a number"),
        ({"metrics": {"roc_auc": {}}, "segment": {}}, "the file has no 'segment'"),
        ({"metrics": {"roc_auc": {}}, "segments": {"columns": ["x"]}}, "names 'x', which the predictions don't have"),
        ({"metrics": {"roc_auc": {}}, "value": {"true_positive": 1}}, "value.false_positive is None"),
        ({"metrics": {"roc_auc": {}}, "waivers": [{"metric": "roc_auc"}]}, "one has no reason"),
    ],
)
def test_gates_that_can_not_be_read_are_refused(gates: dict[str, object], words: str) -> None:
    with pytest.raises(Stop, match=re.escape(words)):
        judge(table(1.0), table(1.0), gates)


def test_the_answer_is_the_same_twice() -> None:
    assert one(table(0.5), table(0.7)) == one(table(0.5), table(0.7))


def test_a_loss_on_other_rows_only_warns() -> None:
    row = {"name": "r2", "challenger": 0.5, "difference": -0.2, "floor": None, "tolerance": 0.0, "more_is_better": True}
    assert decide(row)["verdict"] == "undecided"


def test_the_command_says_what_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, gates, out = (tmp_path / name for name in ("old.parquet", "new.parquet", "gates.yaml", "out.json"))
    table(0.2).to_parquet(old)
    table(3.0).to_parquet(new)
    gates.write_text("metrics: {roc_auc: {tolerance: 0.01}}")
    assert compare(old, new, gates, out) == 1
    said = capsys.readouterr().out
    assert "⛔ worse |" in said and "worse than the champion (tolerance 0.01), beyond chance" in said
    assert json.loads(out.read_text())["metrics"][0]["verdict"] == "worse"
    assert compare(new, old, gates, None) == 0
    with pytest.raises(Stop, match="can't be read"):
        compare(tmp_path / "none.parquet", new, gates, None)


def classes(right: float, seed: int = 1, rows: int = 600) -> pd.DataFrame:
    """Return answers of a model of three classes, of which a share is right."""
    truth = np.array(["basic", "plus", "pro"])[np.random.default_rng(3).choice(3, rows, p=[0.6, 0.3, 0.1])]
    random = np.random.default_rng(seed)
    answer = np.where(random.random(rows) < right, truth, random.permutation(truth))
    return pd.DataFrame({"id": np.arange(rows).astype(str), "truth": truth, "score": answer})


def test_named_classes_are_judged_by_their_labels() -> None:
    gates = {"metrics": {"accuracy": {"tolerance": 0.01}, "f1_macro": {}}}
    judgement = judge(classes(0.9), classes(0.4, seed=2), gates)
    worse = classes(0.4, seed=2)
    assert judgement["metrics"][0]["challenger"] == (worse["truth"] == worse["score"]).mean()
    expected = metrics.f1_score(worse["truth"], worse["score"], average="macro")
    assert judgement["metrics"][1]["challenger"] == pytest.approx(expected)
    assert [row["verdict"] for row in judgement["metrics"]] == ["worse", "worse"]
    assert judge(classes(0.4), classes(0.9), gates)["metrics"][0]["verdict"] == "better"
    (chart,) = charts(classes(0.9), worse)
    recall = metrics.recall_score(worse["truth"], worse["score"], average=None)
    assert chart["series"]["challenger"] == pytest.approx(recall, abs=1e-3)


@pytest.mark.parametrize("score", [None, np.nan])
def test_a_class_that_is_not_answered_is_missing(score: float | None) -> None:
    broken = classes(0.9)
    broken.loc[3, "score"] = score
    assert judge(classes(0.9), broken, {"metrics": {"accuracy": {}}})["metrics"][0]["verdict"] == "missing"


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
    with pytest.raises(Stop, match=re.escape(words)):
        judge(None, predictions, {"metrics": {metric: {}}})


def test_a_rare_class_is_in_every_draw_and_is_told() -> None:
    rare = table(0.2).assign(truth=lambda rows: (rows["score"].rank() > ROWS - 12).astype(float))
    judgement = judge(rare, rare.assign(score=table(0.3)["score"]), {"metrics": {"roc_auc": {}}})
    assert math.isfinite(judgement["metrics"][0]["low"])
    assert judgement["notes"][0] == (
        "the rarest class has only 12 held-out rows: hold out more, or read intervals as a hint"
    )
