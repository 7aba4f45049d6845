"""Which changes of the API break its callers."""

import json
from copy import deepcopy
from typing import Any

import pytest
from gitops.review.contract import contract_change
from gitops.review.record import Contract
from gitops.shell import CommandError

REQUEST = {
    "properties": {"plan": {"type": "string", "enum": ["a", "b"]}, "age": {"type": "integer"}},
    "required": ["plan"],
}
ANSWER = {"properties": {"score": {"type": "number"}, "label": {"type": "string", "enum": ["no", "yes"]}}}
RECORDS = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "maxItems": 1000, "minItems": 1}
BODY = {"properties": {"records": RECORDS}, "required": ["records"]}
BASE: dict[str, Any] = {
    "paths": {
        "/predict": {
            "post": {
                "requestBody": {"content": {"application/json": {"schema": BODY}}},
                "responses": {"200": {"schema": {"$ref": "#/components/schemas/Predictions"}}},
            }
        }
    },
    "components": {
        "schemas": {
            "Prediction": ANSWER,  # before its parent, which names it
            "Predictions": {"properties": {"all": {"$ref": "#/components/schemas/Prediction"}}},
            "Row": REQUEST,
        }
    },
}


def after(path: str, value: object) -> str:
    """Return the document with one place changed; None removes it."""
    document = deepcopy(BASE)
    *way, last = path.split(".")
    place = document
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


BODY_AT = "paths./predict.post.requestBody.content.application/json.schema"
RECORDS_AT = f"{BODY_AT}.properties.records"
ROW, SENT = "components.schemas.Row", "components.schemas.Prediction"


@pytest.mark.parametrize(
    ("path", "value", "breaks"),
    [
        (f"{ROW}.properties.age", None, "Row.age is gone"),
        (f"{ROW}.properties.age", {"type": "string"}, "Row.age has another type or range"),
        (f"{ROW}.properties.age", {"type": "integer", "maximum": 9}, "Row.age has another type or range"),
        (f"{ROW}.properties.plan", {"type": "string", "enum": ["a"]}, "Row.plan has another type or range"),
        (f"{ROW}.required", ["plan", "age"], "Row.age is now required"),
        (f"{SENT}.properties.score", None, "Prediction.score is gone"),
        (f"{SENT}.properties.label", {"type": "string", "enum": ["no", "yes", "?"]}, "Prediction.label has another"),
        (f"{RECORDS_AT}.maxItems", 10, "/predict request.records has another type or range"),
        (f"{RECORDS_AT}.minItems", 2, "/predict request.records has another type or range"),
        ("paths./predict", None, "/predict is gone"),
    ],
)
def test_it_breaks(path: str, value: object, breaks: str) -> None:
    found = contract_change(json.dumps(BASE), after(path, value))
    assert found.change == "breaking"
    assert any(reason.startswith(breaks) for reason in found.breaks), found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{ROW}.properties.new", {"type": "string"}),
        (f"{ROW}.properties.plan", {"type": "string", "enum": ["a", "b", "c"]}),
        (f"{ROW}.properties.age", {"type": "integer", "title": "Age in years"}),
        (f"{SENT}.properties.reason", {"type": "string"}),
        (f"{ROW}.properties.age", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (f"{RECORDS_AT}.maxItems", 5000),
        (f"{RECORDS_AT}.maxItems", None),
        (f"{ROW}.required", []),
    ],
)
def test_it_does_not_break(path: str, value: object) -> None:
    assert contract_change(json.dumps(BASE), after(path, value)) == Contract("compatible", ())


def test_no_change_and_no_contract() -> None:
    assert contract_change(json.dumps(BASE), json.dumps(BASE)) == Contract("none", ())
    assert contract_change(None, json.dumps(BASE)) == Contract("none", ())
    assert contract_change(json.dumps(BASE), None).change == "breaking"


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"paths": {}}', '{"paths": [], "components": {"schemas": {}}}'])
def test_a_contract_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(CommandError, match="the contract is not an OpenAPI document"):
        contract_change(json.dumps(BASE), text)
    assert contract_change(text, json.dumps(BASE)) == Contract("compatible", ()), "it can be mended"
