"""A release is brought here as it was released, by its hashes, or not at all; and `model score --release` uses it."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from gitops import project as projects
from gitops import store, tags
from gitops.environments import branches
from gitops.environments.withdraw import withdraw
from gitops.release.fetch import fetch_release
from gitops.shell import CommandError
from laptop import Laptop
from released import IMAGE
from test_verify import BENTO, project, repack, sums

__all__ = ["project"]  # the fixture

pytestmark = pytest.mark.slow

OUT = Path("brought")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def refused(sentence: str, named: str = "1.0.0", folder: Path | None = None) -> None:
    """Assert that a release is refused, and that nothing is left behind."""
    before = set(Path().iterdir())
    with pytest.raises(CommandError, match=sentence):
        fetch_release(named, OUT, folder)
    assert set(Path().iterdir()) == before


def test_a_release_is_its_commit_and_its_model(project: Laptop) -> None:
    project.write("params.yaml", project.read("params.yaml").replace("threshold: 0.5", "threshold: 0.1"))
    assert fetch_release("v1.0.0", OUT) == 0
    said = json.loads((OUT / "release.json").read_text())
    assert (said["version"], said["commit"]) == ("1.0.0", project.run("git rev-parse HEAD"))
    assert said["model_md5"] == md5(OUT / "build/model.bin") == md5(project.path / "build/model.bin")
    assert "threshold: 0.5" in (OUT / "params.yaml").read_text() and (OUT / "src/serving/batch/job.py").is_file()
    refused("brought is there already")
    project.run("rm -r brought")
    refused("there is no release '1.0.9' of churn-model: the last one is 1.0.0", "1.0.9")


def test_a_forged_bento_is_refused(project: Laptop) -> None:
    assert fetch_release("1.0.0", Path("good"), Path("dist")) == 0
    assert md5(Path("good/build/model.bin")) == md5(Path("build/model.bin"))
    project.write("planted", "planted")
    listed = project.read("dist/SHA256SUMS")
    repack(project, "src/build/model.bin")
    refused(r"churn-model-1\.0\.0\.bento holds another model than the dvc\.lock of", folder=Path("dist"))
    project.write("dist/SHA256SUMS", listed)
    refused(rf"{BENTO} has another checksum than SHA256SUMS says", folder=Path("dist"))
    (project.path / "dist" / BENTO).write_text("no archive")
    sums(project)
    refused("is missing, or no Bento", folder=Path("dist"))
    project.run("rm -rf .dvc/cache .dvc/store")  # so that nothing but this Bento is at hand
    refused("is missing, or no Bento")


def test_what_is_not_here_is_pulled(project: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run("rm -rf dist", "mv .dvc/store elsewhere", "rm -rf .dvc/cache")
    refused(r"the model of churn-model@v1\.0\.0 is neither in the data remote nor in a release's files")
    project.run("mv elsewhere .dvc/store")
    monkeypatch.setattr(store, "copy", lambda *_: False)  # as with a bucket, which only DVC can ask
    assert fetch_release("1.0.0", OUT) == 0
    assert md5(OUT / "build/model.bin") == json.loads((OUT / "release.json").read_text())["model_md5"]


def runs(environment: str, image: str = IMAGE, **other: str) -> None:
    """Let an environment run 1.0.0, but for what is said otherwise."""
    this = projects.load()
    facts = {"format": 1, "environment": environment} | tags.facts(this, tags.find(this, "1.0.0")) | other
    files = {"release.json": json.dumps(facts), "manifests.yaml": f"image: {image}\n"}
    assert branches.commit(environment, branches.current(environment), branches.tree(files), "Promote")


def test_an_environment_s_release_is_what_its_manifests_run(project: Laptop) -> None:
    refused("production runs nothing yet: name a version", "production")
    runs("production")
    assert fetch_release("production", Path("first")) == 0
    assert json.loads(Path("first/release.json").read_text())["version"] == "1.0.0"
    runs("production", image=IMAGE.replace("a" * 64, "b" * 64))
    refused("what production runs is not the release that it names: the manifests run", "production")
    runs("production", commit="c" * 40)
    refused(r"commit is c{40} in release\.json, and .* in the tag churn-model@v1\.0\.0", "production")
    runs("production")
    withdraw("1.0.0", "trained on rows that we may not use", dry_run=False)
    refused("it runs 1.0.0, which was withdrawn", "production")
    refused("1.0.0 was withdrawn", "1.0.0")


def test_the_scores_are_the_release_s_and_not_those_of_build(project: Laptop) -> None:
    released = pd.read_parquet("build/predictions.parquet").set_index("id")["score"]
    project.replace("params.yaml", "alpha: 1.0", "alpha: 300.0")
    project.run("dvc repro --quiet", "cp build/holdout.parquet rows.parquet")
    project.run("python -m model score rows.parquet build.csv")
    said = project.run("python -m model score rows.parquet release.csv --release 1.0.0 --rank --reasons 1")
    assert "scored by release 1.0.0, model" in said
    here, there = (pd.read_csv(name).set_index("id") for name in ("build.csv", "release.csv"))
    trained = pd.read_parquet("build/predictions.parquet").set_index("id")["score"]
    assert there["score"][released.index].to_numpy() == pytest.approx(released.to_numpy(), rel=1e-6)
    assert here["score"][trained.index].to_numpy() == pytest.approx(trained.to_numpy(), rel=1e-6)
    assert (here["score"] - there["score"]).abs().max() > 0.01
    assert set(here["model_version"]) == {"dev"} and set(there["model_version"]) == {"1.0.0"}
    assert there["rank"].is_monotonic_increasing and there["reason_1"].str.contains(", typical is ").any()
