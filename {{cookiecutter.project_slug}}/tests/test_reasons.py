"""Reasons are a linear model's exact contributions, and words that a sales person can read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small_model
from starlette.testclient import TestClient

from serving.api import reasons
from serving.model_file.export import export
from serving.model_file.opening import load_model, open_model, reference
from serving.rows.errors import ModelError
from serving.rows.matrices import Matrices, from_records, named
from serving.rows.schema import Schema, load_schema

Records = list[dict[str, Any]]


def test_only_on_request_and_the_strongest_first(client: TestClient, records: Records) -> None:
    records, most = records[:20], len(load_schema().columns)
    asked = min(3, most)
    rows = client.post("/predict", json={"records": records, "reasons": asked}).json()["predictions"]
    plain = client.post("/predict", json={"records": records}).json()["predictions"]
    assert [{key: value for key, value in row.items() if key != "reasons"} for row in rows] == plain
    effects = [[abs(reason["effect"]) for reason in row["reasons"]] for row in rows]
    assert all(found == sorted(found, reverse=True) and len(found) <= asked for found in effects)
    for number in (-1, most + 1, "3", 1.5, None):
        assert client.post("/predict", json={"records": records[:1], "reasons": number}).status_code == 400


def test_a_linear_model_s_reasons_are_its_contributions(small: Path) -> None:
    schema, pipeline, model = small_model.SCHEMA, small_model.fitted(), open_model()
    explainer = reasons.Explainer(model, schema, reference(model)["typical"])
    found = explainer.effects(small_model.inputs())
    coefficients, frame = np.ravel(pipeline[-1].coef_), named(schema, small_model.inputs())
    usual = named(schema, explainer.usual)
    assert np.abs(found).max(axis=0).min() > 0.01, "each column has an effect"
    for j in range(len(explainer.columns)):
        changed = frame.copy()
        own = pipeline[0].transform(changed)
        changed.isetitem(j, [usual.iloc[0, j]] * len(frame))
        expected = (own - pipeline[0].transform(changed)) @ coefficients
        assert found[:, j] == pytest.approx(expected, rel=1e-3, abs=1e-3 * np.abs(coefficients).max())


def test_a_row_of_typical_values_has_no_reasons(client: TestClient, trained: Path) -> None:
    typical = reference(open_model())["typical"]
    row = typical | ({load_schema().id: "1"} if load_schema().id else {})
    answer = client.post("/predict", json={"records": [row], "reasons": len(load_schema().columns)})
    assert answer.json()["predictions"][0]["reasons"] == []


SCHEMA: dict[str, Any] = {
    "target": {"name": "y", "task": "binary", "positive": "yes", "negative": "no"},
    "columns": {
        "age": {"type": "integer"},
        "debt": {"type": "number", "nullable": True},
        "member": {"type": "boolean"},
        "since": {"type": "date"},
        "plan": {"type": "category", "values": ["a", "b"]},
    },
}
TYPICAL = {"age": 40, "debt": 1250.5, "member": True, "since": "2020-01-31", "plan": "a"}
ROW = {"age": 30, "debt": None, "member": False, "since": "2024-05-01", "plan": "b"}


@pytest.mark.parametrize(
    ("task", "outcome"), [("binary", "raises the score"), ("regression", "raises the prediction by 0.01")]
)
def test_the_words(task: str, outcome: str) -> None:
    target = {"name": "y", "task": task} | ({"positive": "1", "negative": "0"} if task == "binary" else {})
    schema = Schema.model_validate(SCHEMA | {"target": target})
    own = schema.row_model().model_validate_json(json.dumps(ROW))

    def count(matrices: Matrices) -> Any:
        """Score 0.01 for each value that is not typical."""
        usual = from_records(schema, [schema.row_model().model_validate_json(json.dumps(TYPICAL))])
        return 0.4 + 0.01 * sum((matrix != usual[name]).sum(axis=1) for name, matrix in matrices.items())

    model: Any = SimpleNamespace(score=count)
    found = next(reasons.Explainer(model, schema, TYPICAL).explain(from_records(schema, [own]), 9))
    assert sorted(reason["text"] for reason in found) == [
        f"age is 30, typical is 40: {outcome}",
        f"debt is missing, typical is 1,250.5: {outcome}",
        f"member is no, typical is yes: {outcome}",
        f"plan is b, typical is a: {outcome}",
        f"since is 2024-05-01, typical is 2020-01-31: {outcome}",
    ]


def test_a_model_without_typical_values_is_refused() -> None:
    bare = load_model(export(small_model.fitted(), small_model.SCHEMA))
    with pytest.raises(ModelError, match="the model file holds no `reference`"):
        reference(bare)
