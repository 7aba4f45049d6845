"""The judge: a pure function of two tables and the gates."""

import numpy as np
import pandas as pd
import pytest
from gitops.judge import decide, judge
from gitops.shell import Stop

ROWS = 1409


def table(noise: float, seed: int = 1, rows: int = ROWS) -> pd.DataFrame:
    """Return predictions of a classifier; more noise is a worse model of the same world."""
    world, random = np.random.default_rng(7), np.random.default_rng(seed)
    signal = world.normal(size=rows)
    truth = (world.normal(size=rows) < signal - 0.6).astype(float)
    score = 1 / (1 + np.exp(-(1.4 * signal - 1 + noise * random.normal(size=rows))))
    return pd.DataFrame({"id": [f"C{i:05}" for i in range(rows)], "truth": truth, "score": score})


def one(champion: pd.DataFrame | None, challenger: pd.DataFrame, **gate: float) -> dict[str, object]:
    """Judge by ROC AUC alone."""
    return judge(champion, challenger, {"roc_auc": gate})[0]


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


def test_the_same_model_is_no_worse_and_has_no_interval_to_speak_of() -> None:
    row = one(table(1.0), table(1.0).sample(frac=1, random_state=3))
    assert (row["verdict"], row["difference"], row["low"], row["high"]) == ("no worse", 0, 0, 0)


def test_a_loss_within_the_tolerance_passes() -> None:
    assert one(table(0.2), table(3.0), tolerance=0.5)["verdict"] == "no worse"


def test_a_small_test_set_leaves_a_loss_undecided() -> None:
    rows = one(table(0.2, rows=40), table(1.2, seed=5, rows=40), tolerance=0.0)
    assert rows["difference"] < 0 < rows["high"]
    assert rows["verdict"] == "undecided"


def test_below_the_floor_blocks_also_without_a_champion() -> None:
    row = one(None, table(3.0), floor=0.95)
    assert row["verdict"] == "below floor"
    assert row["reason"] == f"roc_auc {row['challenger']:.4f} is below its floor 0.95 by {0.95 - row['challenger']:.4f}"


def test_less_is_better_for_an_error() -> None:
    good = pd.DataFrame(
        {"id": list("abcdef"), "truth": [1.0, 2, 3, 4, 5, 60], "score": [1.1, 2.1, 3.1, 4.1, 5.1, 60.1]}
    )
    bad = good.assign(score=good["score"] + 9)
    rows = judge(good, bad, {"mae": {"floor": 5, "tolerance": 1}})
    assert rows[0]["verdict"] == "below floor"
    assert rows[0]["reason"] == "mae 9.1000 is above its limit 5 by 4.1000"
    assert judge(bad, good, {"mae": {}})[0]["verdict"] == "better"


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_blocks(score: float) -> None:
    broken = table(1.0)
    broken.loc[3, "score"] = score
    assert one(table(1.0), broken)["verdict"] == "missing"


def test_other_rows_are_refused() -> None:
    with pytest.raises(Stop, match="not scored on the same rows"):
        one(table(1.0).iloc[1:], table(1.0))


def test_another_truth_is_refused() -> None:
    flipped = table(1.0)
    flipped["truth"] = 1 - flipped["truth"]
    with pytest.raises(Stop, match="not scored on the same rows"):
        one(flipped, table(1.0))


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(Stop, match=r"'auc', which is none of roc_auc, "):
        judge(None, table(1.0), {"auc": {}})


def test_the_answer_is_the_same_twice() -> None:
    assert one(table(0.5), table(0.7)) == one(table(0.5), table(0.7))


def test_a_loss_on_other_rows_only_warns() -> None:
    row = {"name": "r2", "challenger": 0.5, "difference": -0.2, "floor": None, "tolerance": 0.0, "more_is_better": True}
    assert decide(row)["verdict"] == "undecided"
