"""The service answers what was evaluated, and refuses what schema.yaml does not allow."""

import asyncio
import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from pydantic import ValidationError
from starlette.testclient import TestClient
from starlette.types import Message

from serving import service
from serving.api import contract, predict, route
from serving.api.predict import predictor
from serving.api.types import BINARY, POLICY, SCHEMA, Query
from serving.rows.errors import ModelError
from serving.rows.matrices import from_records
from serving.rows.parameters import param
from serving.rows.schema import Column, load_schema

FEW = 30


def test_the_service_answers_what_was_evaluated(client: TestClient, records: list[dict[str, Any]]) -> None:
    answer = client.post("/predict", json={"records": records})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == "dev"
    evaluated = pd.read_parquet("build/predictions.parquet").head(len(records))
    found = pd.DataFrame(answer.json()["predictions"])
    assert found["score"].tolist() == evaluated["score"].tolist()
    assert found["id"].tolist() == (
        evaluated["id"].tolist() if load_schema().id else [str(i) for i in range(len(records))]
    )


def test_the_label_follows_from_the_threshold(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [row["score"] for row in client.post("/predict", json={"records": records}).json()["predictions"]]
    threshold = sorted(scores)[len(scores) // 2]
    monkeypatch.setattr(predictor(), "threshold", threshold)
    rows = client.post("/predict", json={"records": records}).json()["predictions"]
    if BINARY:
        positive = SCHEMA.target.positive
        assert [row["label"] == positive for row in rows] == [row["score"] >= threshold for row in rows]
    else:
        assert all(set(row) == {"id", "score"} for row in rows)


def test_large_bodies_are_answered_too(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[int]()
    answer = predictor().answer
    monkeypatch.setattr(predictor(), "answer", lambda query: threads.add(threading.get_ident()) or answer(query))
    monkeypatch.setattr(route, "SMALL", 1 << 30)
    small = client.post("/predict", json={"records": records}).json()
    monkeypatch.setattr(route, "SMALL", 1)
    assert client.post("/predict", json={"records": records}).json() == small
    assert len(threads) == 2, "the large one is answered aside"


def test_bentoml_s_own_call_answers_the_same(client: TestClient, records: list[dict[str, Any]]) -> None:
    query = Query.model_validate_json(json.dumps({"records": records[:3], "reasons": 1}))
    answer = asyncio.run(service.Model.inner().predict(query))
    assert answer.model_dump() == client.post("/predict", json={"records": records[:3], "reasons": 1}).json()


def test_a_missing_value_may_be_left_out(client: TestClient, records: list[dict[str, Any]]) -> None:
    short = [{name: value for name, value in row.items() if value is not None} for row in records]
    full, left_out = (client.post("/predict", json={"records": rows}).json() for rows in (records, short))
    assert full == left_out


def some_columns() -> list[tuple[str, Column]]:
    """Return the first columns, and of the others one of each kind: a wide table has hundreds that are alike."""
    columns = list(load_schema().columns.items())
    kinds = {(column.type, column.nullable, column.min is None, column.max is None): name for name, column in columns}
    return [(name, column) for i, (name, column) in enumerate(columns) if i < FEW or name in kinds.values()]


def refused(client: TestClient, body: Any) -> str:
    """Return what the service says to a body that it must refuse."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    return answer.text


def test_bodies_that_are_no_list_of_records_are_refused(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "MOST_BYTES", 1 << 30)
    for body in (b"", b"{", b"[" * 10_000, b"\xff", [], {}, {"records": []}, {"records": None}, {"records": [[]]}):
        refused(client, body)
    assert "extra_forbidden" in refused(client, {"records": records[:1], "more": 1})
    assert "too_long" in refused(client, {"records": records[:1] * (param("service.max_rows") + 1)})


def test_a_field_that_breaks_the_schema_is_named(client: TestClient, records: list[dict[str, Any]]) -> None:
    for name, column in some_columns():
        wrong: list[Any] = [float("nan"), float("inf"), [1], {}]
        if not (column.values and POLICY == "missing"):
            wrong.append("no such value")
        if not column.nullable:
            wrong.append(None)
        for value in wrong:
            answer = json.loads(refused(client, {"records": [records[0] | {name: value}]}))
            assert {tuple(problem["loc"]) for problem in answer["detail"]} == {("records", 0, name)}
    assert "extra_forbidden" in refused(client, {"records": [records[0] | {"no such column": 1}]})


def test_an_id_is_required_and_sent_once(client: TestClient, records: list[dict[str, Any]]) -> None:
    identity = load_schema().id
    if identity is None:
        pytest.skip("this project's rows have no id")
    without = {name: value for name, value in records[0].items() if name != identity}
    assert "missing" in refused(client, {"records": [without]})
    if param("service.max_rows") > 1:
        first = json.loads(refused(client, {"records": records[:1] * 2}))["detail"][0]
        assert f"{identity} is used more than once" in first["msg"]


def test_numbers_beyond_reason_are_refused(client: TestClient, records: list[dict[str, Any]]) -> None:
    for name, column in some_columns():
        if column.type in ("number", "integer"):
            body = json.dumps({"records": [records[0] | {name: "LARGE"}]}).replace('"LARGE"', "1e31")
            assert json.loads(refused(client, body.encode()))["detail"][0]["loc"] == ["records", 0, name]


def test_the_answer_says_where_and_keeps_short(client: TestClient, records: list[dict[str, Any]]) -> None:
    name = next(iter(load_schema().columns))
    answer = json.loads(refused(client, {"records": [row | {name: []} for row in records]}))
    assert answer["error"].startswith(f"body.records[0].{name}: Input should be")
    assert len(answer["detail"]) == min(len(records), route.LISTED)
    if len(records) > 1:
        assert answer["error"].endswith(f"(and {len(records) - 1:,} more)")


def test_a_score_that_is_no_number_is_refused(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = records[:2]
    scores = np.array([0.5] * (len(sent) - 1) + [np.nan])
    monkeypatch.setattr(predictor().model, "score", lambda matrices: scores)
    detail = json.loads(refused(client, {"records": sent}))["detail"]
    assert [(problem["loc"], problem["type"]) for problem in detail] == [(["records", len(sent) - 1], "not_finite")]


def test_only_json_is_read(client: TestClient) -> None:
    for kind in ("multipart/form-data", "application/vnd.bentoml+pickle", "application/jsonp", "text/plain"):
        answer = client.post("/predict", content=b"{}", headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]) == (415, "send the content type application/json")
    assert client.post("/predict", content=b"{}").status_code == 415, "as a web page could send it without asking"


def test_a_body_that_is_too_large_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "MOST_BYTES", 100)
    for body in (b"x" * 101, iter([b"x" * 60, b"x" * 60])):
        answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["error"] == "the body has more than 100 bytes: send fewer records at once"
    refused(client, b"x" * 100)


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Message:
        await asyncio.sleep(9)
        raise AssertionError

    monkeypatch.setattr(route, "BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", b"application/json")]}
    asyncio.run(route.Route(never)(scope, never, send))
    assert sent[0]["status"] == 408 and b"did not arrive within 0.01 seconds" in sent[1]["body"]


def test_a_failure_is_logged_without_the_customer(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(" ".join(["Jane", "Doe"]))

    monkeypatch.setattr(predict, "from_records", fail)
    monkeypatch.setattr(logging.getLogger("bentoml"), "propagate", True)
    answer = client.post("/predict", json={"records": records[:1]})
    assert (answer.status_code, answer.json()["error"]) == (500, "the service failed, and its log says where")
    assert "RuntimeError" in caplog.text and "in fail" in caplog.text and "Jane Doe" not in caplog.text


@pytest.mark.parametrize("policy", ["reject", "missing"])
def test_an_unknown_category_is_refused_or_missing(trained: Path, records: list[dict[str, Any]], policy: str) -> None:
    schema = load_schema()
    if not schema.categories:
        pytest.skip("this project's rows have no category")
    row_model, column = schema.row_model(unknown_is_missing=policy == "missing"), schema.categories[0]
    row = json.dumps(records[0] | {column: "brand new"})
    if policy == "reject":
        with pytest.raises(ValidationError, match=re.escape(column)):
            row_model.model_validate_json(row)
        return
    unknown = from_records(schema, [row_model.model_validate_json(row)])["categories"]
    known = from_records(schema, [row_model.model_validate_json(json.dumps(records[0]))])["categories"]
    assert unknown[0, 0] == "" and known[0, 0] == (records[0][column] or "")


def test_the_service_is_ready_when_its_model_scores(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(predictor().model, "score", lambda matrices: float("nan"))
    assert client.get("/readyz").status_code == 503


def test_openapi_json_is_what_the_service_promises(client: TestClient) -> None:
    assert (ROOT / "openapi.json").read_text(encoding="utf-8") == contract.render(), "run `uv run model contract`"
    document = json.loads(contract.render())
    assert client.get("/docs.json").json() == document
    row, schema = document["components"]["schemas"]["Row"], load_schema()
    assert set(row["properties"]) == {*schema.columns, *filter(None, [schema.id])}
    assert row["additionalProperties"] is False


def test_the_page_for_callers_shows_a_request_that_fits(
    client: TestClient, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract.PAGE.parent.mkdir()
    contract.PAGE.write_text('# Calling\n\n```json\n{"old": 1}\n```\n\n```json\n{}\n```\n')
    contract.contract(check=False)
    before, shown, after, other, _ = re.split(r"```(?:json)?", contract.PAGE.read_text())
    assert (before, after, other) == ("# Calling\n\n", "\n\n", "\n{}\n")
    answer = client.post("/predict", content=shown.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    contract.contract(check=True)
    contract.PAGE.write_text("```json\n{}\n```\n")
    with pytest.raises(ModelError, match=r"docs/api\.md is out of date"):
        contract.contract(check=True)


def test_a_whole_number_may_be_written_with_a_point(client: TestClient, records: list[dict[str, Any]]) -> None:
    for name, column in some_columns():
        if column.type == "integer" and records[0][name] is not None:
            rows = [records[0] | {name: value} for value in (records[0][name], float(records[0][name]))]
            one, other = (client.post("/predict", json={"records": [row]}) for row in rows)
            assert one.json() == other.json() and other.status_code == 200
            assert "int_type" in refused(client, {"records": [records[0] | {name: records[0][name] + 0.5}]})


def test_a_stale_contract_is_told(client: TestClient, project: Path) -> None:
    with pytest.raises(ModelError, match=r"openapi\.json is out of date"):
        contract.contract(check=True)
    contract.contract(check=False)
    contract.contract(check=True)
    path = project / "openapi.json"
    path.write_text(path.read_text().replace("/predict", "/score"))
    with pytest.raises(ModelError, match=r"openapi\.json is out of date"):
        contract.contract(check=True)
