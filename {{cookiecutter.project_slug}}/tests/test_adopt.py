"""One command makes another table this project's."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from model.__main__ import main
from serving.adopt.adopt import adopt
from serving.adopt.roles import infer
from serving.rows.errors import ModelError
from serving.rows.schema import load_schema

ROWS = 120


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under DVC without a table."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return tmp_path


def table() -> pd.DataFrame:
    """A table with a bit of everything, as the texts of a CSV file."""
    random = np.random.default_rng(3)
    columns = {
        "Kunden-Nr": [f"K{i}" for i in range(ROWS)],
        "größe in m": [str(x) for x in random.normal(0, 5, ROWS).round(2)],
        "rooms": ["", *map(str, random.integers(1, 9, ROWS - 1))],
        "город: где": random.choice(["Köln", "No", "São Paulo"], ROWS),
        "plz": random.choice(["01067", "10115"], ROWS),
        "since": [f"2024-0{i % 9 + 1}-15" for i in range(ROWS)],
        "ok": random.choice(["true", "false", ""], ROWS),
        "shop_id": random.choice(["1", "2", "3"], ROWS),
        "country": ["DE"] * ROWS,
        "note": [f'said, "{i}"' for i in range(ROWS)],
        "messy": ["unknown", *map(str, range(ROWS - 1))],
        "left": random.choice(["yes", "no"], ROWS, p=[0.6, 0.4]),
        "price": [str(x) for x in random.uniform(100, 900, ROWS).round(1)],
    }
    return pd.DataFrame(columns, dtype="str")


def test_every_column_is_taken_for_what_it_is() -> None:
    schema = infer(table().drop(columns="price"), "left", None, None)
    assert schema.id == "Kunden-Nr"
    assert schema.target.model_dump() == {"name": "left", "task": "binary", "positive": "yes", "negative": "no"}
    assert {name: column.model_dump(exclude_defaults=True) for name, column in schema.columns.items()} == {
        "größe in m": {"type": "number"},
        "rooms": {"type": "integer", "min": 0, "nullable": True},
        "город: где": {"type": "category", "values": ["Köln", "No", "São Paulo"]},
        "plz": {"type": "category", "values": ["01067", "10115"]},
        "since": {"type": "date"},
        "ok": {"type": "boolean", "nullable": True},
        "shop_id": {"type": "category", "values": ["1", "2", "3"]},
    }
    assert schema.ignored == {
        "country": "only one value: DE",
        "note": f"free text or an identifier: {ROWS} different values",
        "messy": "numbers, but 1 rows hold something else, such as 'unknown'",
    }


def test_options_and_the_rarer_value_decide() -> None:
    texts = table().assign(left=["stays"] * 100 + ["goes"] * 20)
    assert infer(texts, "left", None, None).target.positive == "goes"
    assert infer(texts, "left", None, "stays").target.negative == "goes"
    assert infer(texts, "left", "note", None).id == "note"
    assert infer(texts, "left", "", None).id is None
    assert infer(texts, "price", None, None).target.task == "regression"


@pytest.mark.parametrize(
    ("change", "target", "identity", "positive", "sentence"),
    [
        ({}, "lefd", None, None, "no column 'lefd': did you mean 'left'?"),
        ({}, "left", "kunden", None, "no column 'kunden'"),
        ({"left": "yes"}, "left", None, None, "only one value, 'yes'"),
        ({"left": ["a", "b", "c"] * 40}, "left", None, None, "has 3 classes ('a', 'b', 'c', …)"),
        ({"left": ["yes", ""] * 60}, "left", None, None, "missing in 60 rows"),
        ({"price": ["1", "2", "NA"] * 40}, "price", None, None, "missing in 40 rows"),
        (
            {"Kunden-Nr": ["K1", *[f"K{i}" for i in range(1, ROWS)]]},
            "left",
            None,
            None,
            "1 rows repeat an id, such as 'K1'",
        ),
        ({"Kunden-Nr": [f"K{i // 2}" for i in range(ROWS)]}, "left", None, None, "60 rows repeat an id, such as 'K0'"),
        ({}, "left", "shop_id", None, "the id column 'shop_id' has duplicates"),
        ({}, "left", "left", None, "can't be both the id and the target"),
        ({}, "left", None, "perhaps", "--positive 'perhaps' must be one of"),
        ({}, "price", None, "100", "--positive '100' must be one of"),
    ],
)
def test_a_table_without_a_usable_target_or_id_is_refused(
    change: dict[str, object], target: str, identity: str | None, positive: str | None, sentence: str
) -> None:
    with pytest.raises(ModelError) as error:
        infer(table().assign(**change), target, identity, positive)
    assert sentence in str(error.value)


def test_adopting_again_changes_nothing_and_keeps_the_parameters(empty: Path) -> None:
    table().to_csv("data.csv", index=False)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("seed: ", "seed: 4").replace("threshold: 0.5", "threshold: 0.31"))
    adopt(Path("data.csv"), "left", None, None, dry_run=False)
    first = {path: path.read_bytes() for path in empty.glob("*.[yj]*")}
    assert {path.name for path in first} == {"schema.yaml", "params.yaml", "gates.yaml", "openapi.json"}
    assert Path("params.yaml").read_text() == params.replace("seed: ", "seed: 4")
    adopt(Path("data/table.csv"), "left", None, None, dry_run=False)
    assert first == {path: path.read_bytes() for path in empty.glob("*.[yj]*")}
    assert load_schema().target.name == "left"


def test_a_dry_run_tells_and_writes_nothing(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table().to_csv("mine.csv", index=False)
    before = sorted(empty.rglob("*"))
    adopt(Path("mine.csv"), "left", None, None, dry_run=True)
    assert sorted(empty.rglob("*")) == before
    assert "ignored, only one value: DE" in capsys.readouterr().out


def test_a_refused_table_leaves_the_project_alone(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.csv").write_text("a,b\n1,2\n3,4\n5\n")
    before = {path: path.read_bytes() for path in empty.rglob("*.*") if path.is_file()}
    monkeypatch.setattr("sys.argv", ["model", "adopt", "mine.csv", "--target", "b"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: mine.csv is not a table in CSV")
    assert before == {path: path.read_bytes() for path in before}
