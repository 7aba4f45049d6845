"""A review on a laptop: who the champion is, what the model takes, what changed, and how the metric went."""

import json
import shutil
from typing import Any

import pytest
from harness import Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

BOOSTING = ("params.yaml", "kind: linear ", "kind: gradient_boosting ")


def result(project: Laptop) -> dict[str, Any]:
    """Return all that the review found; its `verdict` is there too."""
    review: dict[str, dict[str, Any]] = json.loads(project.read("review/review.json"))
    facts = review["facts"]
    return {**facts, **facts["judgement"], **facts["changes"], **review}


def test_production_can_be_the_champion(on_laptop: Laptop) -> None:
    on_laptop.run("git switch --quiet main")
    on_laptop.replace("gates.yaml", "# baseline: production ", "baseline: production ")
    on_laptop.run("git commit --quiet --all -m Baseline", "git switch --quiet --force-create case")
    on_laptop.replace(*BOOSTING)
    on_laptop.run("dvc repro --quiet")
    assert "champion" in on_laptop.review() and result(on_laptop)["champion"]["where"] == (
        "on main, as nothing runs in production yet"
    )
    main = on_laptop.run("git rev-parse main")
    running = on_laptop.run("git rev-parse HEAD")
    on_laptop.run("git switch --quiet --orphan env/production")
    on_laptop.write("release.json", json.dumps({"commit": running}))
    on_laptop.run("git add --force release.json", "git commit --quiet -m Promote", "git switch --quiet --force case")
    on_laptop.replace("params.yaml", "max_iter: 80 ", "max_iter: 90 ")
    on_laptop.run("dvc repro --quiet")
    text, found = on_laptop.review(), result(on_laptop)
    assert (found["champion"]["commit"], found["champion"]["where"]) == (running, "in production")
    assert found["base"] == main, "what changes, and the gates, are those of main all the same"
    assert found["metrics"][0]["champion"] == pytest.approx(0.8394, abs=2e-4), "the boosting model's"
    assert f"champion `{running[:9]}` `in production`" in text
    on_laptop.run("git remote add origin nowhere")
    with pytest.raises(Failed, match="error: `git ls-remote origin refs/heads/env/production` failed"):
        on_laptop.run("python -m gitops review --base main")


def test_a_model_over_its_budget_is_blocked(on_laptop: Laptop) -> None:
    on_laptop.run("git switch --quiet main")
    on_laptop.replace("gates.yaml", "# budgets: {training_seconds: 600, model_mb: 50,", "budgets: {model_mb: 0.01,")
    on_laptop.run("git commit --quiet --all -m Budget", "git switch --quiet --force-create case")
    on_laptop.replace(*BOOSTING)
    on_laptop.run("dvc repro --quiet")
    text, found = on_laptop.review(), result(on_laptop)
    size = (on_laptop.path / "build/model.bin").stat().st_size / 1e6
    rows = {row["name"]: row for row in found["budgets"]}
    assert found["verdict"] == "block" and rows["model file (MB)"]["challenger"] == size > 0.01
    assert text.splitlines()[0] == f"⛔ **Blocked**: `model file (MB) {size:.4g} is over the budget of 0.01`"
    speed = rows["p95 of one prediction (ms)"]
    assert speed["verdict"] == "within the budget" and 0 < speed["champion"] < 5 > speed["challenger"] > 0
    assert rows["image (MB)"]["verdict"] == "not measured here"


def test_what_changed_and_how_the_metric_went(on_laptop: Laptop) -> None:
    auc = json.loads(on_laptop.read("metrics.json"))["roc_auc"]
    on_laptop.run(
        "python -m gitops store push", "git switch --quiet main", "python -m gitops release", "git switch --quiet case"
    )
    on_laptop.replace(*BOOSTING)
    on_laptop.replace("src/model/train.py", "arange(1, 10)", "arange(1, 10, 1)")
    on_laptop.run("dvc repro --quiet")
    on_laptop.review()
    text, found = on_laptop.read("review/report.md"), result(on_laptop)
    (history,) = [chart for chart in found["charts"] if chart["title"] == "The last releases, and this model"]
    assert history["series"][0]["values"] == [
        pytest.approx(auc, abs=1e-4),
        pytest.approx(found["metrics"][0]["challenger"], abs=1e-4),
    ]
    assert found["stages"] == ["train", "evaluate"]
    assert {entry["area"]: entry["files"] for entry in found["code"]} == {"model": ["src/model/train.py (−1 +1)"]}
    assert "- stages that ran again: `train`, `evaluate`" in text


def test_before_the_push_a_review_judges_and_says_what_is_to_be_pushed(on_laptop: Laptop) -> None:
    """The order of the README: repro, review, push."""
    on_laptop.run("python -m gitops store push")
    on_laptop.replace(*BOOSTING)
    on_laptop.run("dvc repro --quiet")
    text, found = on_laptop.review(push=False), result(on_laptop)
    assert text.startswith("✅ **Ready to merge**: no worse than the champion\n")
    assert (
        "**What to do.** Before the pull request `uv run gitops store push`: the data remote lacks `build/model.bin`"
        in text
    )
    assert {"build/model.bin", "build/predictions.parquet"} <= set(found["lock"]["unpushed"])
    assert (found["lock"]["missing"], found["trained"]) == ([], False)
    assert [row["name"] for row in found["budgets"]] == ["model file (MB)", "p95 of one prediction (ms)"]
    on_laptop.run("python -m gitops store push", "python -m gitops review --base main")
    assert "What to do" not in on_laptop.read("review/report.md") and result(on_laptop)["lock"]["unpushed"] == []


def test_in_a_workflow_what_is_not_pushed_blocks_and_a_repro_that_did_nothing_is_no_training(
    on_laptop: Laptop,
) -> None:
    on_laptop.run("python -m gitops store push")
    on_laptop.replace(*BOOSTING)
    on_laptop.run("dvc repro --quiet")
    on_laptop.env["GITHUB_ACTIONS"] = "true"
    text, found = on_laptop.review(push=False), result(on_laptop)
    assert text.startswith("⛔ **Blocked**: `build/model.bin is not in the data remote`\n")
    assert found["trained"] is False and "trained in this run" not in text, "all its stages are up to date here"
    assert "training (s)" not in text
    for folder in ("build", "plots", ".dvc/cache"):  # as in a clone
        shutil.rmtree(on_laptop.path / folder)
    on_laptop.run("python -m gitops review --base main")
    found = result(on_laptop)
    assert found["trained"] is True and "trained in this run" in on_laptop.read("review/report.md")
    assert found["budgets"][0]["name"] == "training (s)" and found["budgets"][0]["challenger"] > 0
