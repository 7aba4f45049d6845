"""One schema.yaml is read for the training table and for the service's requests."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from serving.rows.errors import ModelError
from serving.rows.matrices import from_frame, from_records
from serving.rows.parameters import param
from serving.rows.schema import Schema, load_schema
from serving.rows.table import typed

EVERY_TYPE = """\
id: Nr
target: {name: price, task: regression}
columns:
  größe in m: {type: number, min: 0, nullable: true}
  rooms: {type: integer, max: 9}
  'on: sale': {type: boolean, nullable: true}
  город: {type: category, values: ['No', Köln], nullable: true}
  since: {type: date, nullable: true}
ignored: {note: free text}
"""
ROW = {"Nr": "a", "größe in m": 1.5, "rooms": 3, "on: sale": True, "город": "Köln", "since": "1970-01-11"}


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    path = tmp_path / "schema.yaml"
    path.write_text(EVERY_TYPE, encoding="utf-8")
    return load_schema(path)


def test_a_request_and_a_table_give_the_model_the_same_input(schema: Schema) -> None:
    empty = ROW | {"Nr": "b", "größe in m": None, "on: sale": None, "город": None, "since": None}
    texts = pd.DataFrame(
        {
            "Nr": ["a", "b"],
            "größe in m": ["1.5", "NA"],
            "rooms": ["3", "3.0"],
            "on: sale": ["1", ""],
            "город": ["Köln", ""],
        }
        | {"since": ["1970-01-11T08:00", ""], "note": ["x", "y"], "price": ["1", "2"]},
        dtype="str",
    )
    frame = from_frame(schema, typed(schema, texts))
    records = from_records(schema, [schema.row_model().model_validate_json(text(row)) for row in (ROW, empty)])
    np.testing.assert_array_equal(
        frame["numbers"], np.array([[1.5, 3, 1, 10], [np.nan, 3, np.nan, np.nan]], np.float32)
    )
    assert frame["categories"].tolist() == [["Köln"], [""]]
    for name in ("numbers", "categories"):
        assert frame[name].dtype == records[name].dtype
        np.testing.assert_array_equal(frame[name], records[name])


def text(row: dict[str, object]) -> str:
    """Write a record as the JSON of a request."""
    return pd.Series(row, dtype=object).to_json(force_ascii=False)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"größe in m": -1}, "größe in m"),
        ({"größe in m": "1.5"}, "größe in m"),
        ({"größe in m": 10**400}, "größe in m"),
        ({"rooms": 10}, "rooms"),
        ({"rooms": 2.5}, "rooms"),
        ({"rooms": None}, "rooms"),
        ({"on: sale": 1}, "on: sale"),
        ({"город": "Rom"}, "город"),
        ({"since": "2024-02-30"}, "since"),
        ({"since": 3}, "since"),
        ({"Nr": ""}, "Nr"),
        ({"c0": 1.5}, "c0"),
    ],
)
def test_a_request_is_refused_where_it_breaks_the_schema(schema: Schema, change: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as error:
        schema.row_model().model_validate_json(json.dumps(ROW | change))
    assert [problem["loc"] for problem in error.value.errors()] == [(where,)]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("type: number, min: 0", "type: float, min: 0", "columns.größe in m.type"),
        ("type: number, min: 0", "type: number, min: 0, max: -1", "min is above max"),
        ("max: 9", "max: 9e6", "min and max are numbers"),
        ("max: 9", "maximum: 9", "columns.rooms.maximum"),
        ("type: date", "type: date, min: 3", "only a number or an integer has min and max"),
        ("values: ['No', Köln]", "values: [No, Köln]", "columns.город.values.0"),
        ("values: ['No', Köln]", "values: [Köln, Köln]", "each value is listed once"),
        ("values: ['No', Köln],", "", "a category lists its values"),
        ("task: regression", "task: binary", "names its positive and its negative value"),
        ("id: Nr", "id: rooms", "'rooms' has two roles"),
        ("id: Nr", "id: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_schema_is_told_in_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(EVERY_TYPE.replace(old, new), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        load_schema(path)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_parameter_that_is_missing_is_named(project: Path) -> None:
    Path("params.yaml").write_text("split: {}\n")
    with pytest.raises(ModelError, match=r"no split\.holdout"):
        param("split.holdout")


def test_the_service_needs_none_of_the_training_libraries(project: Path) -> None:
    blocked = ["pandas", "sklearn", "pandera", "pyarrow", "onnx", "skl2onnx", "dvc"]
    program = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import serving.service; print('imported')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr
