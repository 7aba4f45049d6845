"""Somebody's own table: adopted with one command, and then everything works with no code edited."""

import csv
import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import Failed, run
from laptop import Laptop, install
from serving import served

pytestmark = pytest.mark.slow

Row = dict[str, Any]


def loans(rows: int = 600) -> list[Row]:
    """Return a binary table as people have it: umlauts, spaces, dates, gaps, a constant, free text."""
    chance = random.Random(3)
    made = []
    for number in range(rows):
        income, area = chance.gauss(40_000, 9_000), chance.choice(["Köln", "São Paulo", "東京", ""])
        late = chance.random() < 1 / (1 + 2.7 ** ((income - 38_000) / 6_000))
        made.append(
            {
                "Kunden-Nr": f"K{number:04}",
                "Einkommen (€)": "" if chance.random() < 0.05 else f"{income:.2f}",
                "größe": chance.randint(150, 200),
                "Ort / 場所": area,
                "seit": date(2015, 1, 1) + timedelta(days=chance.randint(0, 3000)),
                "Newsletter": chance.choice(["true", "false"]),
                "Land": "DE",
                "Notiz": f"Anruf {chance.random()}",
                "Ausfall": "ja" if late else "nein",
            }
        )
    return made


def flats(rows: int = 600) -> list[Row]:
    """Return a regression table with a negative number, gaps and a category, and no id."""
    chance = random.Random(4)
    made = []
    for _ in range(rows):
        space, floor, kind = chance.uniform(20, 140), chance.randint(-1, 9), chance.choice(["old", "new", "attic"])
        price = 3000 * space + 9000 * floor + (40_000 if kind == "new" else 0) + chance.gauss(0, 9000)
        made.append(
            {
                "space m²": f"{space:.1f}",
                "floor": floor,
                "kind": kind,
                "built": "" if chance.random() < 0.1 else date(1900 + chance.randint(0, 120), 5, 1),
                "source": "web",
                "price": f"{price:.0f}",
            }
        )
    return made


def write(path: Path, rows: list[Row]) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def project(bake: Callable[..., Path], prepared: Path, env: dict[str, str]) -> Callable[..., str]:
    """Return a runner of commands in a fresh, committed project."""
    path = install(prepared, bake(), env)
    run("git", "add", "--all", cwd=path, env=env)
    run("git", "commit", "--quiet", "-m", "Generate", cwd=path, env=env)

    def command(*argv: str | Path) -> str:
        return run(*argv, cwd=path, env=env)

    command.path, command.env = path, env  # type: ignore[attr-defined]
    return command


def record(project: Any, row: Row) -> Row:
    """Type one row of the table by the committed contract, as a caller's developer would."""
    schemas = json.loads((project.path / "openapi.json").read_text())["components"]["schemas"]
    fields = next(schema["properties"] for name, schema in schemas.items() if set(schema["properties"]) <= set(row))
    convert: dict[str, Callable[[Any], Any]] = {"number": float, "integer": int, "boolean": lambda text: text == "true"}
    made = {}
    for name, field in fields.items():
        kinds = [kind["type"] for kind in field.get("anyOf", [field]) if "type" in kind]
        made[name] = None if row[name] == "" else convert.get(kinds[0], str)(row[name])
    return made


@pytest.mark.parametrize(
    ("rows", "target", "metric"),
    [(loans(), "Ausfall", "roc_auc"), (flats(), "price", "r2")],
    ids=["binary", "regression"],
)
def test_an_unknown_table_lives_the_whole_day(
    project: Any, tmp_path: Path, rows: list[Row], target: str, metric: str
) -> None:
    table = write(tmp_path / "own table.csv", rows)
    said = project("uv", "run", "model", "adopt", table, "--target", target)
    assert "only one value" in said and "constant" not in said.splitlines()[0]
    code = project("git", "diff", "--name-only", "--", "src", "tests", "dvc.yaml")
    assert code == "", f"adopting changed code: {code}"

    project("uv", "run", "dvc", "repro")
    metrics = json.loads((project.path / "metrics.json").read_text())
    assert metrics[metric] > 0.6 and 90 < metrics["rows"] < 150  # of 600, a fifth by chance
    project("uv", "run", "pytest", "-q")
    project("git", "add", "--all")
    project("uv", "run", "pre-commit", "run", "--all-files")

    project("git", "commit", "--quiet", "-m", "Adopt our table")
    project("uv", "run", "gitops", "store", "push")
    project("git", "switch", "--quiet", "-c", "idea")
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("kind: linear", "kind: gradient_boosting"))
    project("uv", "run", "dvc", "repro")
    project("git", "commit", "--quiet", "-am", "Try trees")
    project("uv", "run", "gitops", "store", "push")
    report = project("uv", "run", "gitops", "review")
    assert f"| `{metric}` | " in report and f"Both models scored the same {metrics['rows']} held-out rows" in report

    with served(project.path, project.env, "uv", "run") as service:
        status, answer = service.ask("/predict", {"records": [record(project, row) for row in rows[:50]]})
    assert status == 200, answer
    answers = json.loads(answer)["predictions"]
    assert len(answers) == 50
    if metric == "r2":
        errors = [abs(answer["score"] - float(row["price"])) for answer, row in zip(answers, rows, strict=False)]
        assert sorted(errors)[25] < 15_000  # of prices up to 500,000
    else:
        assert [answer["id"] for answer in answers] == [row["Kunden-Nr"] for row in rows[:50]]
        right = sum(answer["label"] == row["Ausfall"] for answer, row in zip(answers, rows, strict=False))
        assert right > 30


def test_a_new_schema_is_reviewed_unpaired_and_says_why(on_laptop: Laptop, tmp_path: Path) -> None:
    table = write(tmp_path / "loans.csv", loans())
    on_laptop.run(f"python -m model adopt {table} --target Ausfall", "dvc repro --quiet")
    report = on_laptop.review(push=False)
    assert "**Not on the same rows**, so no interval: `the champion can't score these rows (error: " in report
    assert "| `roc_auc` | 0.83" in report


BAD: dict[str, tuple[bytes, str, str]] = {
    "no target": (b"a,b\n1,2\n3,4\n", "churn", "has no column 'churn'"),
    "one class": (b"a,b\n1,x\n2,x\n3,x\n", "b", "only one value"),
    "three classes": (b"a,b\n" + b"".join(f"{i},{'xyz'[i % 3]}\n".encode() for i in range(60)), "b", "3 "),
    "empty": (b"", "b", "Empty CSV file"),
    "only a header": (b"a,b\n", "b", "no row"),
    "duplicate ids": (b"customer_id,a,b\nC1,1,x\nC1,2,y\nC2,3,x\n", "b", "C1"),
    "gaps in the target": (b"a,b\n1,x\n2,\n3,y\n", "b", "missing"),
    "not a CSV": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "b", "not a"),
}


def test_a_bad_table_gets_one_plain_sentence_and_changes_nothing(
    project: Any, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for case, (content, target, words) in BAD.items():
        with subtests.test(case):
            (tmp_path / "bad.csv").write_bytes(content)
            with pytest.raises(Failed) as failed:
                project("uv", "run", "model", "adopt", tmp_path / "bad.csv", "--target", target)
            said = str(failed.value).splitlines()[1:]
            assert len(said) == 1 and said[0].startswith("error: "), said
            assert words in said[0]
            assert project("git", "status", "--short") == ""
    with pytest.raises(Failed, match=r"error: .*nowhere\.csv"):
        project("uv", "run", "model", "adopt", tmp_path / "nowhere.csv", "--target", "b")
