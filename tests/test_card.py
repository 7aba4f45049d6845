"""The model card: its numbers are the model's, its words are goal.yaml's, and nothing in it is blank or hostile."""

import json
import math
import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from gitops import goal
from gitops.description import Target
from gitops.prose import prose
from gitops.release import card_parts, top
from gitops.shell import CommandError
from harness import Failed
from laptop import Laptop
from markdown_it import MarkdownIt
from projects import erasure
from sklearn.metrics import log_loss, precision_score, recall_score, roc_auc_score
from test_adopt import flats, write

TARGET = Target(name="churn", task="binary", labels=("No", "Yes"))
GOAL = """
target: churn
goal: Find who leaves.
owner: "@acme"
users: Sales
use: Calls
not_for: [Prices]
success: {measure: Still there, target: 60 of 100, by: 2027-05-26}
review_by: 2027-05-26
words: {rows: customers, called: likely to leave, happened: left}
"""
HOSTILE = (
    "1. a|b `c` <!-- x --> @acme **b** [l](http://evil) <img src=x> www.evil.example #1 :tada: a@b.example $x$ ~~s~~"
)


def test_a_goal_is_read_whole() -> None:
    found = goal.read(GOAL, TARGET)
    assert (found.goal, found.owner, found.not_for) == ("Find who leaves", "@acme", ("Prices",))
    assert found.success == goal.Success(measure="Still there", target="60 of 100", by=date(2027, 5, 26))
    assert found.words == goal.ClassifierWords(rows="customers", called="likely to leave", happened="left")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("users: Sales\n", "", "goal.yaml: the file lacks users, and the model card has no blanks: write it"),
        ("users: Sales\n", "users:\n", "goal.yaml: the file lacks users"),
        ("users:", "user:", "goal.yaml: the file has no 'user'; it knows target, goal, owner, users"),
        ("by: 2027-05-26}", "by: soon}", "goal.yaml: success.by is 'soon', which is no day like 2027-01-31"),
        (
            "review_by: 2027-05-26",
            "review_by: 2027-02-31",
            "goal.yaml is not valid YAML: day is out of range for month",
        ),
        ("target: 60 of 100, ", "", "goal.yaml: success lacks target"),
        (", happened: left", "", "goal.yaml: words lacks happened"),
        ("[Prices]", "[]", "goal.yaml: not_for is no list, or an empty one: write at least one entry"),
        ("[Prices]", "[{a: b}]", "goal.yaml: not_for[0] is not a text of 1 to 300 printable characters"),
        ("use: Calls", 'use: "a\\u202eb"', "goal.yaml: use is not a text of 1 to 300 printable characters"),
        ("use: Calls", f"use: {'a' * 301}", "goal.yaml: use is not a text of 1 to 300 printable characters"),
        ("target: churn", "target: left", "goal.yaml is about 'left' and the model predicts 'churn': say in goal.yaml"),
        ("target: churn", "target: [", "goal.yaml is not valid YAML"),
        (GOAL, "", "goal.yaml: the file is not a mapping of target, goal"),
    ],
)
def test_a_bad_goal_is_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in GOAL
    with pytest.raises(CommandError, match=re.escape(sentence)) as stop:
        goal.read(GOAL.replace(old, new, 1), TARGET)
    assert "\n" not in str(stop.value)


def rendered(text: str) -> str:
    """Return the HTML that GitHub's dialect makes of a Markdown text."""
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def test_prose_renders_as_it_was_typed() -> None:
    for text in (HOSTILE, "- a", "1) a", "+ a", "# a", "> a", "a\\*b", "~~~ a", "=== a", "--- a"):
        html = rendered(prose(text)).replace("<!-- -->", "").strip()
        plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert html == f"<p>{plain}</p>"
    assert not re.search(r"@\w|#\d|(?<!\\):", prose(HOSTILE))


def test_the_top_of_a_list_is_counted_with_intervals_against_chance() -> None:
    random = np.random.default_rng(3)
    truth = (random.random(1000) < 0.25).astype(float)
    score = truth + random.normal(0, 1, 1000)
    hundred, tenth = top.tops(truth, score, binary=True)
    assert (hundred.rows, tenth.rows) == (100, 100)
    assert hundred.value == truth[np.argsort(-score)[:100]].sum() > hundred.chance
    share, z = hundred.value / 100, 1.959964
    middle, half = (share + z**2 / 200), z * np.sqrt(share * (1 - share) / 100 + z**2 / 40000)
    expected = [100 * (middle - half) / (1 + z**2 / 100), 100 * (middle + half) / (1 + z**2 / 100)]  # Wilson's formula
    assert [hundred.low, hundred.high] == pytest.approx(expected, abs=1e-3)
    picked = [random.permutation(truth)[:100].sum() for _ in range(4000)]
    assert hundred.chance == pytest.approx(np.mean(picked), abs=0.3)
    assert [hundred.chance_low, hundred.chance_high] == pytest.approx(np.quantile(picked, [0.025, 0.975]), abs=1.1)


def test_equal_scores_count_in_part_and_short_tables_have_no_list() -> None:
    truth = np.array([1.0, 1.0, 0.0, 0.0] * 50)
    hundred, tenth = top.tops(truth, np.zeros(200), binary=True)
    assert (hundred.value, tenth.value, tenth.rows) == (50, 10, 20)  # whatever the order of the rows
    assert [one.rows for one in top.tops(truth[:100], np.zeros(100), binary=True)] == [10]
    assert top.tops(np.array([1.0]), np.array([0.5]), binary=True) == []


def test_a_number_s_top_is_a_mean() -> None:
    random = np.random.default_rng(4)
    truth = random.gamma(2, 100, 3000)
    hundred, tenth = top.tops(truth, truth + random.normal(0, 80, 3000), binary=False)
    assert tenth.rows == 300 and hundred.value > tenth.value > tenth.chance == pytest.approx(truth.mean())
    assert tenth.low < tenth.value < tenth.high
    picked = [random.permutation(truth)[:300].mean() for _ in range(2000)]
    assert [tenth.chance_low, tenth.chance_high] == pytest.approx(np.quantile(picked, [0.025, 0.975]), rel=0.01)


def test_the_period_is_told_also_of_columns_that_the_model_leaves_out() -> None:
    described: Any = SimpleNamespace(
        features=[SimpleNamespace(name="since", type="date"), SimpleNamespace(name="plan", type="category")],
        ignored={"asked": "known too late", "note": "prose", "gone": "not in the table"},
    )
    table = pd.DataFrame(
        {
            "since": ["2024-02-29", None, "2023-01-31", "?"],
            "asked": ["2024-03-01T10:00", "2024-03-02 11:00", None, "2024-03-01"],
            "note": ["2024-01-01", "x", "y", "z"],
            "plan": ["2020-01-01"] * 4,
        }
    )
    period = "".join(card_parts._period(table, described))
    assert period == ", since from 2023-01-31 to 2024-02-29, asked from 2024-03-01 to 2024-03-02."
    period = "".join(card_parts._period(table[["plan", "note"]], described))
    assert period == ". No column of it holds dates, so it does not say which period its rows are from."


def numbers(card: str, name: str) -> list[float]:
    """Return the numbers of the table's row that starts with this name: the value and its interval, last."""
    row = next(line for line in card.splitlines() if line.startswith(f"| `{name}` |"))
    return [float(number) for number in re.findall(r"\d+\.\d{4}", row)]


def held_out(project: Laptop) -> pd.DataFrame:
    rows = pd.read_parquet(project.path / "build/holdout.parquet").reset_index(drop=True)
    return rows.assign(**pd.read_parquet(project.path / "build/predictions.parquet")[["truth", "score"]])


@pytest.mark.slow
def test_every_number_of_the_card_is_the_models(on_laptop: Laptop) -> None:
    card = on_laptop.run("python -m gitops card")
    metrics: dict[str, float] = yaml.safe_load(on_laptop.read("metrics.json"))
    for name in ("roc_auc", "log_loss"):
        value, low, high = numbers(card, name)
        assert value == pytest.approx(metrics[name], abs=1e-4) and low < value < high
    rows = held_out(on_laptop)
    assert numbers(card, "log_loss")[0] == pytest.approx(log_loss(rows.truth, rows.score), abs=1e-4)
    segments = [line for line in card.splitlines() if re.match(r"\| `(contract|internet_service) = ", line)]
    expected = {
        f"{column} = {value}": part
        for column in ("contract", "internet_service")
        for value, part in rows.groupby(column)
    }
    assert len(segments) == len(expected) == 6
    for name, part in expected.items():
        assert numbers(card, name)[0] == pytest.approx(roc_auc_score(part.truth, part.score), abs=1e-4)
        assert f"| `{name}` | {len(part):,} |" in card
    called = rows.score >= 0.5
    precision, recall = (100 * measure(rows.truth, called) for measure in (precision_score, recall_score))
    assert f"of 100 customers that it called likely to leave, {precision:.0f} left" in card
    assert f"of 100 customers that left, it had called {recall:.0f} likely to leave" in card
    assert f"Of 100 customers picked blindly, {100 * rows.truth.mean():.0f} left." in card
    found = rows.sort_values("score", ascending=False).truth
    for name, size in (("the 100 highest", 100), ("the highest tenth", math.ceil(len(rows) / 10))):
        assert f"| {name} | {size} | {found[:size].sum():.0f} | " in card
    assert "No column of it holds dates" in card


@pytest.mark.slow
def test_the_interval_is_that_of_a_plain_bootstrap(on_laptop: Laptop) -> None:
    rows, random = held_out(on_laptop), np.random.default_rng(1)
    draws = []
    for _ in range(600):
        parts = [part.iloc[random.integers(0, len(part), len(part))] for _, part in rows.groupby("truth")]
        drawn = pd.concat(parts)
        draws.append(roc_auc_score(drawn.truth, drawn.score))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert numbers(on_laptop.run("python -m gitops card"), "roc_auc")[1:] == pytest.approx([low, high], abs=0.004)


@pytest.mark.slow
def test_the_card_has_no_blanks(on_laptop: Laptop) -> None:
    assert "Written: card.md" in on_laptop.run("python -m gitops card --out card.md")
    assert on_laptop.read("card.md") == on_laptop.run("python -m gitops card") + "\n"
    assert not re.search(r"\bNone\b|\bnan\b|TODO|\{\}", on_laptop.read("card.md"))
    data = yaml.safe_load(on_laptop.read("data/table.csv.dvc"))["outs"][0]["md5"]
    (on_laptop.path / "docs/erasures").mkdir()
    on_laptop.write("docs/erasures/one.json", erasure(data).model_dump_json())
    assert "Rows of this version were erased since, on 2027-05-26." in on_laptop.run("python -m gitops card")


@pytest.mark.slow
def test_hostile_words_stay_words(on_laptop: Laptop) -> None:
    content: dict[str, Any] = yaml.safe_load(on_laptop.read("goal.yaml"))
    for key in ("goal", "owner", "users", "use"):
        content[key] = HOSTILE
    content |= {"not_for": [HOSTILE], "words": dict.fromkeys(content["words"], HOSTILE)}
    content["success"] |= {"measure": HOSTILE, "target": HOSTILE}
    on_laptop.write("goal.yaml", yaml.safe_dump(content))
    described = json.loads(on_laptop.read("model.json"))
    described["parameters"][HOSTILE] = HOSTILE
    described["ignored"][HOSTILE] = HOSTILE
    described["model"] |= {"kind": HOSTILE, "file_format": HOSTILE}
    described["features"].append(described["features"][0] | {"name": HOSTILE, "type": "category", "values": [HOSTILE]})
    on_laptop.write("model.json", json.dumps(described))
    on_laptop.run("dvc commit --quiet --force evaluate")
    card = on_laptop.run("python -m gitops card")
    html = re.sub(r"<code>.*?</code>", "", rendered(card).replace("<!-- -->", "\0"))
    assert html.count("evil") >= 10
    assert not re.search(r"<img|<a |<em|<s>|<!--|@\w", html)
    assert re.findall(r"<(?:details|summary|sub)>", html) == ["<details>", "<summary>", "<sub>"]
    widths = {line.count("|") for line in card.splitlines() if line.startswith("| `roc_auc` |")}
    assert html.count("<table>") == 5 and len(widths) == 1


@pytest.mark.slow
def test_a_file_that_is_not_the_locked_one_stops_the_card(on_laptop: Laptop) -> None:
    on_laptop.replace("metrics.json", "0.8", "0.9")
    with pytest.raises(
        Failed, match=r"error: metrics\.json is not the one that dvc\.lock names: `uv run gitops store pull`"
    ):
        on_laptop.run("python -m gitops card")


@pytest.mark.slow
def test_a_goal_about_another_model_blocks_the_review(on_laptop: Laptop) -> None:
    on_laptop.replace("goal.yaml", "target: churn ", "target: default ")
    report = on_laptop.review()
    assert report.startswith("⛔ **Blocked**: `goal.yaml is about 'default' and the model predicts 'churn'")


@pytest.mark.slow
def test_a_number_has_a_card_too(on_laptop: Laptop, tmp_path: Path) -> None:
    on_laptop.run(f"python -m model adopt {write(tmp_path / 'flats.csv', flats())} --target price", "dvc repro --quiet")
    with pytest.raises(Failed, match="error: goal.yaml is about 'churn' and the model predicts 'price'"):
        on_laptop.run("python -m gitops card")
    on_laptop.replace("goal.yaml", "target: churn ", "target: price ")
    with pytest.raises(Failed, match="error: goal.yaml: words has no 'called'; it knows rows"):
        on_laptop.run("python -m gitops card")
    on_laptop.replace("goal.yaml", "{rows: customers, called: likely to leave, happened: left}", "{rows: flats}")
    card = on_laptop.run("python -m gitops card")
    rows = pd.read_parquet(on_laptop.path / "build/predictions.parquet")
    half, most = np.quantile((rows.truth - rows.score).abs(), [0.5, 0.9])
    assert f"half of its predictions were within {half:.4g} of the truth and nine of ten within {most:.4g}" in card
    tenth = math.ceil(len(rows) / 10)
    mean = rows.sort_values("score", ascending=False, kind="stable").truth[:tenth].mean()
    assert f"| the highest tenth | {tenth} | {mean:.4g} | " in card
    assert "gates.yaml names no segments" in card and re.search(r"`built` from \d{4}-05-01 to \d{4}-05-01", card)
    assert numbers(card, "mae")[0] == pytest.approx(float((rows.truth - rows.score).abs().mean()), rel=1e-6)
