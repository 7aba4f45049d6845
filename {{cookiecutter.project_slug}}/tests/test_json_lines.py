"""The nightly job gives what the service answers, in a file, and tells which lines break the contract."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from starlette.testclient import TestClient

from serving.rows.errors import ModelError
from serving.rows.parameters import param
from serving.rows.schema import load_schema

Records = list[dict[str, Any]]


def written(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_answers_what_the_service_answers(
    client: TestClient, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving.batch import json_lines

    monkeypatch.setattr(json_lines, "AT_ONCE", 7)
    records = records[:30]
    asked = min(2, len(load_schema().columns))
    lines = [json.dumps(record) for record in records]
    bad = json.dumps(records[0] | {"nobody": 1})
    lines = [*lines[:10], "{", *lines[10:], bad]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text("\n".join(lines) + "\n")
    assert json_lines.score_lines(source, out, asked) == (30, 2)
    answer = client.post("/predict", json={"records": records, "reasons": asked}).json()
    found = written(out)
    expected = answer["predictions"]
    assert [float(row["score"]) for row in found] == pytest.approx([row["score"] for row in expected], rel=1e-6)
    if load_schema().id:
        assert [row["id"] for row in found] == [row["id"] for row in expected]
    assert [row.get("label") for row in found] == [row.get("label") for row in expected]
    texts = [[reason["text"] for reason in row["reasons"]] for row in expected]
    assert [[row[f"reason_{i + 1}"] for i in range(asked) if row[f"reason_{i + 1}"]] for row in found] == texts
    assert {(row["model_version"], row["model"]) for row in found} == {("dev", answer["model_md5"][:8])}
    errors = written(tmp_path / "out.csv.errors.csv")
    assert [(row["row"], row["column"]) for row in errors] == [("11", ""), ("32", "nobody")]
    source.write_text("\n".join(lines[:10]))
    assert json_lines.score_lines(source, out) == (10, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.csv"]


def test_what_cannot_be_read_leaves_the_last_file_as_it_was(client: TestClient, tmp_path: Path) -> None:
    from serving.batch import json_lines

    out = tmp_path / "out.csv"
    out.write_text("last night's")
    with pytest.raises(ModelError, match=r"none\.jsonl: No such file or directory"):
        json_lines.score_lines(tmp_path / "none.jsonl", out)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ModelError, match=r"empty\.jsonl has no lines"):
        json_lines.score_lines(tmp_path / "empty.jsonl", out)
    assert out.read_text() == "last night's"


def test_it_needs_no_more_than_the_service_does(project: Path, records: Records) -> None:
    """As in the image: without pyarrow and pandas, in the folder of a release, which names the version."""
    release = project / "release/src"
    shutil.copytree(project / "build", release / "build")
    for name in ("params.yaml", "schema.yaml"):
        shutil.copy(name, release)
    (release.parent / "bento.yaml").write_text("version: 1.2.0\n")
    (release / "in.jsonl").write_text(json.dumps(records[0]))
    absent = ["pyarrow", *(["pandas", "sklearn"] if param("model.format") == "onnx" else [])]
    script = f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); sys.argv = ['x', 'in.jsonl', 'out.csv']"
    script += "; runpy.run_module('serving.batch.json_lines', run_name='__main__')"
    env = {"PYTHONPATH": str(ROOT / "src"), "BENTOML_HOME": str(project / "home"), "BENTOML_DO_NOT_TRACK": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=release, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "out.csv: 1 records scored by release 1.2.0" in done.stderr
    assert written(release / "out.csv")[0]["model_version"] == "1.2.0"
    assert json.loads(done.stdout)["model_version"] == "1.2.0"
