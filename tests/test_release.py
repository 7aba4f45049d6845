"""A release on a laptop: what the Bento holds, what stops it, and that it answers as the reviewed model does."""

import hashlib
import json
import re
import tarfile
from collections.abc import Callable
from itertools import pairwise

import pytest
from harness import Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

INSIDE = {
    "src/bentofile.yaml",
    "src/build/model.bin",
    "src/params.yaml",
    "src/schema.yaml",
    "src/serving/__init__.py",
    "src/serving/api/__init__.py",
    "src/serving/api/answers.py",
    "src/serving/api/auth.py",
    "src/serving/api/connection.py",
    "src/serving/api/contract.py",
    "src/serving/api/observe.py",
    "src/serving/api/predict.py",
    "src/serving/api/reasons.py",
    "src/serving/api/route.py",
    "src/serving/api/types.py",
    "src/serving/model_file/__init__.py",
    "src/serving/model_file/opening.py",
    "src/serving/model_file/skops_model.py",
    "src/serving/batch/__init__.py",
    "src/serving/batch/json_lines.py",
    "src/serving/probe.py",
    "src/serving/rows/__init__.py",
    "src/serving/rows/errors.py",
    "src/serving/rows/matrices.py",
    "src/serving/rows/parameters.py",
    "src/serving/rows/schema.py",
    "src/serving/service.py",
}
RELEASE = "python -m gitops release"
SERVED = """
import json, pandas, starlette.testclient
from serving.service import Model
rows = pandas.read_parquet("ROWS").drop(columns="churn")
with starlette.testclient.TestClient(Model.to_asgi()) as client:
    answer = client.post("/predict", json={"records": json.loads(rows.head(200).to_json(orient="records"))})
print(json.dumps([row["score"] for row in answer.json()["predictions"]]))
"""
REVIEWED = """
import json, pandas
print(json.dumps(pandas.read_parquet("PREDICTIONS").score.head(200).tolist()))
"""


def test_the_bento_holds_the_model_and_its_service_and_nothing_else(on_laptop: Laptop) -> None:
    on_laptop.write(".env", "PASSWORD=secret")
    on_laptop.write("src/serving/notes.txt", "secret")
    on_laptop.write("src/.env", "PASSWORD=secret")
    on_laptop.run("git add --force .env src/.env src/serving/notes.txt", "git commit --quiet -m Secrets")
    on_laptop.run("python -m gitops store push", RELEASE)
    folder = on_laptop.path / "dist"
    with tarfile.open(folder / "churn-model-1.0.0.bento") as bento:
        names = {member.name.removeprefix("./") for member in bento.getmembers() if member.isfile()}
        bento.extractall(folder / "inside", filter="data")
    assert {name for name in names if name.startswith("src/")} == INSIDE
    assert not [name for name in names if ".env" in name or "table" in name or "cache" in name or "notes" in name]
    requirements = (folder / "inside/env/python/requirements.txt").read_text()
    assert "onnxruntime==" in requirements and "--hash=sha256:" in requirements
    assert not [name for name in ("pandas", "scikit-learn", "dvc", "skl2onnx") if f"\n{name}==" in f"\n{requirements}"]
    digest = hashlib.md5((folder / "inside/src/build/model.bin").read_bytes(), usedforsecurity=False).hexdigest()
    facts = json.loads((folder / "release.json").read_text())
    assert facts["model_md5"] == digest and digest in on_laptop.read("dvc.lock")
    assert facts["metrics"] == json.loads(on_laptop.read("metrics.json"))
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        checksum, name = line.split()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum


def test_without_an_image_the_service_scores_as_the_review_did_and_the_version_is_free(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push")
    del on_laptop.env["IMAGE"]
    with pytest.raises(Failed, match=r"error: 1\.0\.0 is not released: dist/ holds its Bento .*IMAGE is not set here"):
        on_laptop.run(RELEASE)
    assert on_laptop.run("git tag") == "" and not (on_laptop.path / "dist/release.json").exists()
    assert "and stop there, with nothing tagged. IMAGE is not set" in on_laptop.run(f"{RELEASE} --dry-run")
    inside = on_laptop.path / "dist/inside"
    with tarfile.open(on_laptop.path / "dist/churn-model-1.0.0.bento") as bento:
        bento.extractall(inside, filter="data")
    rows = on_laptop.path / "build/holdout.parquet"
    script = inside / "src/ask.py"
    script.write_text(SERVED.replace("ROWS", str(rows)))
    on_laptop.env["PYTHONPATH"] = str(inside / "src")
    answers = json.loads(on_laptop.run(f"env --chdir={inside / 'src'} python ask.py").splitlines()[-1])
    script.write_text(REVIEWED.replace("PREDICTIONS", str(rows.with_name("predictions.parquet"))))
    reviewed = json.loads(on_laptop.run(f"python {script}"))
    assert answers == pytest.approx(reviewed, abs=1e-12) and len(answers) == 200


def test_a_missing_model_stops_the_release(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push", "rm -r build/model.bin .dvc/cache .dvc/store/files")
    with pytest.raises(Failed, match=r"build/model\.bin is in dvc\.lock, but not in the data remote"):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"params.yaml", "schema', '"parameters.yaml", "schema', "parameters.yaml is missing, and a release needs it"),
        ("serving.service:Model", "serving.services:Model", "there is no module serving.services in this project"),
        ("-m serving.probe {", "-m serving.probes {", "there is no module serving.probes in this project"),
        (
            "python -m serving.probe",
            "serve-probe",
            "[tool.gitops]: probe is 'serve-probe {records} {scores}' and should",
        ),
        ('"params.yaml", "schema', '"../params.yaml", "schema', "bento.files[1] is '../params.yaml', which is no path"),
        (
            'description = "model.json"\n',
            "",
            "[tool.gitops]: the file lacks description: docs/contract.md describes it",
        ),
    ],
)
def test_a_missing_part_of_the_service_stops_the_release(on_laptop: Laptop, old: str, new: str, sentence: str) -> None:
    on_laptop.run("python -m gitops store push")
    on_laptop.replace("pyproject.toml", old, new)
    on_laptop.run("git commit --quiet --all -m Lose")
    with pytest.raises(Failed, match=f"error: .*{re.escape(sentence)}"):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""


def test_a_goal_that_can_t_be_read_stops_the_release_before_anything_is_made(on_laptop: Laptop) -> None:
    on_laptop.replace("goal.yaml", "target: churn ", "target: fraud ")
    on_laptop.run("git commit --quiet --all -m Mistake", "python -m gitops store push", "rm build/model.bin")
    with pytest.raises(Failed, match=r"error: goal\.yaml.*fraud"):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""
    assert not (on_laptop.path / "build/model.bin").exists(), "not even the model was pulled"


def break_contract(project: Laptop) -> None:
    project.write("openapi.json", "{}")


def move_service(project: Laptop) -> None:
    project.replace("model.json", '"path": "/predict"', '"path": "/score"')
    project.run("dvc commit --quiet --force evaluate")


def lose_segment(project: Laptop) -> None:
    project.replace("gates.yaml", "columns: [contract, internet_service]", "columns: [contract, internet]")


def lose_metrics(project: Laptop) -> None:
    project.write("metrics.json", "[]")
    project.run("dvc commit --quiet --force evaluate")


def shorten_predictions(project: Laptop) -> None:
    script = "import pandas as pd; p = 'build/predictions.parquet'; pd.read_parquet(p).iloc[1:].to_parquet(p)"
    project.write("shorten.py", script)
    project.run("python shorten.py", "rm shorten.py", "dvc commit --quiet --force evaluate")


@pytest.mark.parametrize(
    ("bend", "sentence"),
    [
        (break_contract, r"openapi\.json is missing or no OpenAPI document"),
        (move_service, r"model\.json says that the service answers at /score, and openapi\.json has no such path"),
        (lose_segment, "segments.columns names 'internet', which the predictions don't have"),
        (lose_metrics, r"metrics\.json is not a small JSON object of numbers"),
        (shorten_predictions, "held-out rows otherwise than the reviewed model"),
    ],
)
def test_papers_that_can_t_be_written_leave_no_tag(
    on_laptop: Laptop, bend: Callable[[Laptop], None], sentence: str
) -> None:
    origin = on_laptop.path.with_name("origin")
    on_laptop.run(f"git clone --quiet --bare . {origin}", f"git remote add origin {origin}")
    bend(on_laptop)
    on_laptop.run("git commit --quiet --all -m Bend", "python -m gitops store push")
    on_laptop.run("git push --quiet origin case:main")
    with pytest.raises(Failed, match=f"error: .*{sentence}"):
        on_laptop.run(RELEASE)
    assert on_laptop.run("git tag") == "" and on_laptop.run("git ls-remote --tags origin") == ""


def test_a_model_that_is_not_the_locked_one_stops_the_release(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push")
    model = on_laptop.path / "build/model.bin"
    model.chmod(0o644)
    model.write_bytes(model.read_bytes() + b"planted")
    with pytest.raises(Failed, match="error: "):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""


def test_an_older_run_that_is_started_again_does_not_go_back(on_laptop: Laptop) -> None:
    for before, alpha in pairwise(("1.0", "3.0", "9.0", "27.0")):
        on_laptop.replace("params.yaml", f"alpha: {before} ", f"alpha: {alpha} ")
        on_laptop.run("dvc repro --quiet", f"git commit --quiet --all -m {alpha}", "python -m gitops store push")
        if alpha != "9.0":  # this one's run was killed before it began
            on_laptop.run(RELEASE)
    tags = on_laptop.run("git tag")
    assert tags.split() == ["churn-model@v1.0.0", "churn-model@v1.1.0"]
    on_laptop.run("git switch --quiet --detach HEAD~1", "dvc checkout --quiet")
    assert "Nothing to do: main has moved on, and what it holds now is released." in on_laptop.run(RELEASE)
    on_laptop.run("git switch --quiet --detach HEAD~1", "dvc checkout --quiet")
    assert "churn-model@v1.0.0 (the first release)" in on_laptop.run(RELEASE), "its own release may still be unfinished"
    assert json.loads(on_laptop.read("dist/release.json"))["version"] == "1.0.0" and on_laptop.run("git tag") == tags
