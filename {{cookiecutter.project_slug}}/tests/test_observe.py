"""The prediction log holds what params.yaml lists and nothing else; what was scored and refused is counted."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from serving.api.observe import FIELDS, PredictionLog
from serving.api.predict import predictor
from serving.rows.errors import ModelError
from serving.rows.schema import load_schema

Records = list[dict[str, Any]]


def logged(captured: pytest.CaptureFixture[str]) -> Records:
    """Return the lines of the prediction log, as a monitor finds them between other lines."""
    return [json.loads(line) for line in captured.readouterr().out.splitlines() if line.startswith('{"event"')]


def set_log(project: Path, **settings: object) -> PredictionLog:
    """Change `service.log` and return the log that follows it."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["service"]["log"] |= settings
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    return PredictionLog(load_schema())


def test_each_prediction_gets_a_line_of_the_listed_fields(
    client: TestClient,
    records: Records,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = list(load_schema().columns)[:2]
    log = set_log(project, fields=["time", "id", "score"], features=columns, sample=1.0)
    monkeypatch.setattr(predictor(), "log", log)
    rows = client.post("/predict", json={"records": records[:5]}).json()["predictions"]
    lines = logged(capsys)
    assert [(line["id"], line["score"]) for line in lines] == [(row["id"], row["score"]) for row in rows]
    assert {tuple(line) for line in lines} == {("event", "time", "id", "score", "features")}
    assert [line["features"] for line in lines] == [{name: row[name] for name in columns} for row in records[:5]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", lines[0]["time"])


def test_by_default_no_line_tells_whose_prediction_it_is(
    client: TestClient,
    records: Records,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = set_log(project, fields=["time", "model_version", "score", "label"], features=[], sample=1.0)
    monkeypatch.setattr(predictor(), "log", log)
    marked = records[:1]
    if load_schema().id:
        marked = [marked[0] | {load_schema().id: "Jane Doe"}]
    client.post("/predict", json={"records": marked})
    lines = logged(capsys)
    assert len(lines) == 1 and "Jane Doe" not in json.dumps(lines)
    assert set(lines[0]) <= {"event", "time", "model_version", "score", "label"}


def test_a_refused_body_is_not_logged(
    client: TestClient, records: Records, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert client.post("/predict", json={"records": [records[0] | {"no such column": "Jane Doe"}]}).status_code == 400
    headers = {"content-type": "application/json"}
    assert client.post("/predict", content=b"Jane Doe", headers=headers).status_code == 400
    captured = capfd.readouterr()
    assert "Jane" not in captured.out + captured.err + caplog.text


def test_an_environment_takes_fields_out_of_the_log_and_puts_none_in(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = next(iter(load_schema().columns))
    monkeypatch.setenv("SERVICE_LOG_WITHOUT_FIELDS", "score, time")
    monkeypatch.setenv("SERVICE_LOG_WITHOUT_FEATURES", column)
    log = set_log(project, fields=["time", "score", "label"], features=[column])
    assert log.settings.fields == ["label"] and log.settings.features == [] and not log.places
    monkeypatch.setenv("SERVICE_LOG_WITHOUT_FIELDS", "name")
    with pytest.raises(ModelError, match="SERVICE_LOG_WITHOUT_FIELDS takes out 'name', which service.log.fields"):
        set_log(project)


def test_a_share_of_the_records_is_logged_and_always_the_same(project: Path) -> None:
    log = set_log(project, sample=0.25)
    names = [f"row {i}" for i in range(2000)]
    chosen = [name for name in names if log.samples(name)]
    assert 350 < len(chosen) < 650
    if load_schema().id:
        assert chosen == [name for name in names if log.samples(name)]
    none = set_log(project, sample=0.0)
    assert not any(none.samples(name) for name in names)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fields": ["score", "name"]}, f"service.log.fields: 'name' is none of {', '.join(FIELDS)}"),
        ({"features": ["no such"]}, "service.log.features: schema.yaml has no column 'no such'"),
        ({"sample": 1.5}, "service.log.sample: Input should be less than or equal to 1"),
        ({"more": 1}, "service.log.more: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_told(project: Path, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=re.escape(f"params.yaml: {sentence}")):
        set_log(project, **settings)


def test_what_is_scored_and_what_is_refused_is_counted(client: TestClient, records: Records) -> None:
    def count(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    def counts() -> list[float]:
        reasons = [count("model_rejected_total", reason=reason) for reason in ("extra_forbidden", "content_type")]
        return [count("model_records_total"), count("model_score_count"), *reasons]

    before, sent = counts(), len(records[:3])
    client.post("/predict", json={"records": records[:3]})
    client.post("/predict", json={"records": records[:1], "more": 1})
    client.post("/predict", content=b"", headers={"content-type": "text/plain"})
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [sent, sent, 1, 1]


def test_a_request_is_counted_by_its_path_and_unknown_paths_are_one(client: TestClient, records: Records) -> None:
    def count(path: str, status: int) -> float:
        return REGISTRY.get_sample_value("model_requests_total", {"path": path, "status": str(status)}) or 0

    before = [count("/predict", 200), count("/predict", 400), count("other", 404)]
    client.post("/predict", json={"records": records[:1]})
    client.post("/predict", json={})
    for i in range(30):
        assert client.get(f"/{i}/x.php").status_code == 404
    assert [count("/predict", 200), count("/predict", 400), count("other", 404)] == [
        number + more for number, more in zip(before, (1, 1, 30), strict=True)
    ]
    shown = client.get("/metrics").text
    assert 'model_request_seconds_count{path="/predict"}' in shown and "x.php" not in shown
