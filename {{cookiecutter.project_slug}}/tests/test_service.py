"""The service answers what was evaluated, and refuses what schema.yaml does not allow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT
from starlette.testclient import TestClient

from model import contract
from model.schema import ModelError, load, param


@pytest.fixture(scope="module")
def client(trained: Path) -> Iterator[TestClient]:
    """The service of the trained project, over HTTP in this process."""
    from model import service

    app: Any = service.Model
    with TestClient(app.to_asgi()) as client:
        yield client


@pytest.fixture(scope="module")
def records(trained: Path) -> list[dict[str, Any]]:
    """The held-out rows as a caller would send them."""
    rows = pd.read_parquet("build/holdout.parquet").drop(columns=load().target.name)
    return list(json.loads(rows.to_json(orient="records", force_ascii=False)))


def test_the_service_answers_what_was_evaluated(client: TestClient, records: list[dict[str, Any]]) -> None:
    answer = client.post("/predict", json={"records": records})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == "dev"
    evaluated = pd.read_parquet("build/predictions.parquet")
    found = pd.DataFrame(answer.json()["predictions"])
    assert found["score"].tolist() == evaluated["score"].tolist()
    assert found["id"].tolist() == (evaluated["id"].tolist() if load().id else [str(i) for i in range(len(records))])


def test_the_label_follows_from_the_threshold(
    client: TestClient, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from model import service

    scores = [row["score"] for row in client.post("/predict", json={"records": records}).json()["predictions"]]
    monkeypatch.setattr(service, "THRESHOLD", sorted(scores)[len(scores) // 2])
    rows = client.post("/predict", json={"records": records}).json()["predictions"]
    if service.BINARY:
        positive = service.SCHEMA.target.positive
        assert [row["label"] == positive for row in rows] == [row["score"] >= service.THRESHOLD for row in rows]
    else:
        assert all(set(row) == {"id", "score"} for row in rows)


def test_a_missing_value_may_be_left_out(client: TestClient, records: list[dict[str, Any]]) -> None:
    short = [{name: value for name, value in row.items() if value is not None} for row in records]
    full, left_out = (client.post("/predict", json={"records": rows}).json() for rows in (records, short))
    assert full == left_out


def refused(client: TestClient, body: Any) -> str:
    """Return what the service says to a body that it must refuse."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    return answer.text


def test_bodies_that_are_no_list_of_records_are_refused(client: TestClient, records: list[dict[str, Any]]) -> None:
    for body in (b"", b"{", b"[" * 10_000, b"\xff", [], {}, {"records": []}, {"records": None}, {"records": [[]]}):
        refused(client, body)
    assert "extra_forbidden" in refused(client, {"records": records[:1], "more": 1})
    assert "too_long" in refused(client, {"records": records[:1] * (param("service.max_rows") + 1)})


def test_a_field_that_breaks_the_schema_is_named(client: TestClient, records: list[dict[str, Any]]) -> None:
    for name, column in load().columns.items():
        wrong: list[Any] = [float("nan"), float("inf"), [1], {}, "no such value"]
        if not column.nullable:
            wrong.append(None)
        for value in wrong:
            answer = json.loads(refused(client, {"records": [records[0] | {name: value}]}))
            assert {tuple(problem["loc"]) for problem in answer["detail"]} == {("records", 0, name)}
    assert "extra_forbidden" in refused(client, {"records": [records[0] | {"no such column": 1}]})


def test_an_id_is_required_and_sent_once(client: TestClient, records: list[dict[str, Any]]) -> None:
    identity = load().id
    if identity is None:
        pytest.skip("this project's rows have no id")
    without = {name: value for name, value in records[0].items() if name != identity}
    assert "missing" in refused(client, {"records": [without]})
    assert (
        f"{identity} is used more than once"
        in json.loads(refused(client, {"records": records[:1] * 2}))["detail"][0]["msg"]
    )


def test_only_json_is_read(client: TestClient) -> None:
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle"):
        answer = client.post("/predict", content=b"records=1", headers={"content-type": kind})
        assert (answer.status_code, answer.json()) == (415, {"error": "send the content type application/json"})


def test_the_service_is_ready_when_its_model_scores(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from model import score

    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(score, "score", lambda model, matrices: float("nan"))
    assert client.get("/readyz").status_code == 503


def test_openapi_json_is_what_the_service_promises(client: TestClient) -> None:
    assert (ROOT / "openapi.json").read_text(encoding="utf-8") == contract.render(), "run `uv run model contract`"
    document = json.loads(contract.render())
    assert list(document["paths"]) == ["/predict"]
    row, schema = document["components"]["schemas"]["Row"], load()
    assert set(row["properties"]) == {*schema.columns, *filter(None, [schema.id])}
    assert row["additionalProperties"] is False


def test_a_stale_contract_is_told(client: TestClient, project: Path) -> None:
    with pytest.raises(ModelError, match=r"openapi\.json is out of date"):
        contract.contract(check=True)
    contract.contract(check=False)
    contract.contract(check=True)
    path = project / "openapi.json"
    path.write_text(path.read_text().replace("/predict", "/score"))
    with pytest.raises(ModelError, match=r"openapi\.json is out of date"):
        contract.contract(check=True)
