"""A release on a laptop: what the Bento holds, what stops it, and that it answers as the reviewed model does."""

import hashlib
import json
import tarfile
from itertools import pairwise

import pytest
from harness import Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

INSIDE = {
    "src/bentofile.yaml",
    "src/build/model.bin",
    "src/model/__init__.py",
    "src/model/api.py",
    "src/model/auth.py",
    "src/model/contract.py",
    "src/model/observe.py",
    "src/model/predict.py",
    "src/model/reasons.py",
    "src/model/route.py",
    "src/model/schema.py",
    "src/model/score.py",
    "src/model/service.py",
    "src/model/skops_model.py",
    "src/params.yaml",
    "src/schema.yaml",
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
    on_laptop.write("src/model/notes.txt", "secret")
    on_laptop.write("src/.env", "PASSWORD=secret")
    on_laptop.run("git add --all --force", "git commit --quiet -m Secrets", "python -m gitops store push", RELEASE)
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


def test_the_released_service_scores_as_the_review_did(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push", RELEASE)
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


def test_a_missing_file_of_the_service_stops_the_release(on_laptop: Laptop) -> None:
    on_laptop.replace("pyproject.toml", '    "src/model/score.py",\n', '    "src/model/scores.py",\n')
    on_laptop.run("git commit --quiet --all -m Lose", "python -m gitops store push")
    with pytest.raises(Failed, match=r"error: src/model/scores\.py is missing, and a release needs it"):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""


def test_a_goal_that_can_t_be_read_stops_the_release_before_anything_is_made(on_laptop: Laptop) -> None:
    on_laptop.replace("goal.yaml", "target: churn ", "target: fraud ")
    on_laptop.run("git commit --quiet --all -m Mistake", "python -m gitops store push", "rm build/model.bin")
    with pytest.raises(Failed, match=r"error: goal\.yaml.*fraud"):
        on_laptop.run(RELEASE)
    assert not (on_laptop.path / "dist").exists() and on_laptop.run("git tag") == ""
    assert not (on_laptop.path / "build/model.bin").exists(), "not even the model was pulled"


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
