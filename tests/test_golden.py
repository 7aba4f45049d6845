"""Real pull requests on the churn table: the right verdict for each, and the whole report as a reviewer reads it.

`UPDATE_GOLDEN=1 pytest tests/test_golden.py` writes the texts in `tests/golden/` anew; read the difference. The
examples in `docs/examples/` are kept the same way.
"""

import csv
import io
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ROOT
from laptop import Laptop

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = ROOT / "docs/examples"
COLUMN = "  total_charges: {type: number, min: 0, nullable: true}\n"
FIT = "        fit(pipeline, features, data.truth(schema, rows), given)\n"
ROWS = "    features = named(schema, from_frame(schema, rows))\n"


def boosting(project: Laptop) -> None:
    project.replace("params.yaml", "kind: linear ", "kind: gradient_boosting ")


def leaked_feature(project: Laptop) -> None:
    """A cancellation fee, which only a customer who left has paid."""
    edit_table(project, lambda row: row | {"final_fee": "25" if row["churn"] == "Yes" else "0"})
    project.replace("schema.yaml", COLUMN, f"{COLUMN}  final_fee: {{type: number, nullable: true}}\n")
    project.run("python -m model contract")


def shuffled_label(project: Laptop) -> None:
    wrong = "np.random.default_rng(1).permutation(data.truth(schema, rows))"
    project.replace("src/model/train.py", FIT, FIT.replace("data.truth(schema, rows)", wrong))


def smaller_training_set(project: Laptop) -> None:
    project.replace("src/model/train.py", ROWS, f"    rows = rows.sample(frac=0.02, random_state=1)\n{ROWS}")


def changed_split(project: Laptop) -> None:
    project.replace("params.yaml", "seed: 20 ", "seed: 21 ")


def new_column(project: Laptop) -> None:
    noise = random.Random(1)
    edit_table(project, lambda row: row | {"lucky_number": str(noise.randrange(100))})
    project.replace("schema.yaml", COLUMN, f"{COLUMN}  lucky_number: {{type: number, nullable: true}}\n")
    project.run("python -m model contract")


def dropped_segment(project: Laptop) -> None:
    edit_table(project, lambda row: row if row["contract"] != "One year" else None)


Row = dict[str, str]


def edit_table(project: Laptop, change: Callable[[Row], Row | None]) -> None:
    """Change or drop each row of the table, and let DVC know."""
    rows = [made for row in csv.DictReader(io.StringIO(project.read("data/table.csv"))) if (made := change(row))]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    project.write("data/table.csv", text.getvalue())
    project.run("dvc add --quiet data/table.csv")


CASES: list[tuple[Callable[[Laptop], None], str, str]] = [
    (boosting, "pass", "no worse than the champion"),
    (leaked_feature, "warn", "roc_auc 1.0000 is suspiciously better than the champion's 0.8385"),
    (shuffled_label, "block", "is below its floor 0.8"),
    (smaller_training_set, "block", "worse than the champion (tolerance 0.01), beyond chance"),
    (changed_split, "block", "rows that the champion held out do not judge this model"),
    (new_column, "warn", "a code owner must look at what changes here: schema.yaml"),
    (dropped_segment, "block", "rows that the champion held out do not judge this model"),
]


@pytest.mark.parametrize(("change", "verdict", "why"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_pull_request_reads_like_this(
    on_laptop: Laptop, change: Callable[[Laptop], None], verdict: str, why: str
) -> None:
    change(on_laptop)
    on_laptop.run("dvc repro --quiet")
    text = on_laptop.review()
    assert json.loads(on_laptop.read("review/review.json"))["verdict"] == verdict
    assert any(why in line for line in text.splitlines()[:3])
    matches_golden(text, f"{change.__name__}.md", GOLDEN)


def matches_golden(text: str, name: str, folder: Path = EXAMPLES) -> None:
    """Compare a text, but for what varies, with the one that is kept; UPDATE_GOLDEN writes that anew."""
    file = folder / name
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(exist_ok=True)
        file.write_text(plain(text))
    assert plain(text) == file.read_text()


def plain(text: str) -> str:
    """Drop what differs from one run or machine to the next: commits, models, days, speed, digits after the third."""
    text = re.sub(r"(p95 of one prediction \(ms\)` \|) [\d.e-]+ \| [\d.e-]+", r"\1 time | time", text)
    text = re.sub(r"`[0-9a-f]{9}`", "`commit`", text)
    text = re.sub(r"`[0-9a-f]{32}` \(MD5\)", "`md5`", text)
    text = re.sub(r"\b20\d\d-\d\d-\d\d\b", "2027-05-26", text)
    return re.sub(r"-?\b\d+\.\d{4,}\b", lambda number: f"{float(number[0]):.3f}", text)
