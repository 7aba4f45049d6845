"""What is served is opened before it is merged: with the release's files, the `serve` group and nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gitops.release import serve_check
from harness import Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

TRIED = "› opening the model with the `serve` group alone"
RELEASE = "python -m gitops release"


def commit(project: Laptop) -> None:
    project.run("git add --all", "git commit --quiet --message case", "python -m gitops store push")


def test_a_model_that_the_serve_group_can_t_open_is_blocked_and_not_released(on_laptop: Laptop) -> None:
    packages = {name: on_laptop.read(name) for name in ("pyproject.toml", "uv.lock")}
    on_laptop.replace("params.yaml", "format: onnx ", "format: skops ")
    on_laptop.replace("pyproject.toml", '# {include-group = "skops"},', '{include-group = "skops"},')
    on_laptop.run("uv lock --quiet", "dvc repro --quiet")
    enough = {name: on_laptop.read(name) for name in packages}
    for name, text in packages.items():
        on_laptop.write(name, text)
    report = on_laptop.review()
    assert report.startswith("⛔ **Blocked**") and "the ˋserveˋ group alone can't serve the model: " in report
    with pytest.raises(Failed, match="Blocked"):
        on_laptop.run("python -m gitops verdict")
    with pytest.raises(Failed, match="error: the `serve` group alone can't serve the model: .*sk.*: add what it lacks"):
        on_laptop.run(RELEASE)
    assert on_laptop.run("git tag") == ""
    for name, text in enough.items():
        on_laptop.write(name, text)
    assert "can't serve the model" not in on_laptop.review()
    assert "churn-model@v1.0.0" in on_laptop.run(RELEASE) and on_laptop.run("git tag") == "churn-model@v1.0.0"


def scale_in_service(project: Laptop) -> None:
    """Let the service's code, and not the stage's, score otherwise."""
    project.replace("src/serving/probe.py", '[row["score"] for row in found]', '[row["score"] / 2 for row in found]')


def import_pandas(project: Laptop) -> None:
    project.replace("src/serving/service.py", "import bentoml\n", "import bentoml\nimport pandas\n")


def read_unnamed(project: Laptop) -> None:
    project.replace("src/serving/probe.py", "\ndef probe(", '\nTERMS = Path("gates.yaml").read_text()\n\n\ndef probe(')


def answer_nothing(project: Laptop) -> None:
    project.replace("src/serving/probe.py", "    scores.write_text(", '    Path("/dev/null").write_text(')


def answer_words(project: Laptop) -> None:
    project.replace("src/serving/probe.py", '[row["score"] for row in found]', '["x" for row in found]')


CASES: list[tuple[Callable[[Laptop], None], str]] = [
    (scale_in_service, r"scores 100 of 100 held-out rows otherwise than the reviewed model, the first 0\.\d+ instead"),
    (import_pandas, r"the ˋserveˋ group alone can't serve the model: .*pandas"),
    (read_unnamed, r"can't serve the model: .*No such file or directory: 'gates\.yaml'"),
    (
        answer_nothing,
        r"ˋpython -m serving\.probe .*ˋ leaves no JSON list of scores where docs/contract\.md asks for it",
    ),
    (answer_words, r"scores 100 of 100 held-out rows otherwise than the reviewed model, the first nan instead"),
]


def test_what_the_service_lacks_is_told_in_one_sentence(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push")
    for bend, sentence in CASES:
        bend(on_laptop)
        report = on_laptop.review(push=False)
        assert re.search(sentence, report), f"{bend.__name__}: {report[:600]}"
        on_laptop.run("git revert --no-edit HEAD")


def test_nothing_is_tried_where_a_release_would_hold_the_same(on_laptop: Laptop) -> None:
    on_laptop.write("README.md", on_laptop.read("README.md") + "more\n")
    on_laptop.write("src/serving/batch/note.py", "")
    commit(on_laptop)
    on_laptop.run(f"rm -r {serve_check.ENVIRONMENT}")
    assert TRIED not in on_laptop.run("python -m gitops review --base HEAD~1")
    assert not (on_laptop.path / serve_check.ENVIRONMENT).exists()
    on_laptop.replace("schema.yaml", "# What a row is.", "# What a row is:")
    commit(on_laptop)
    on_laptop.run("rm -r build")
    assert TRIED in on_laptop.run("python -m gitops review --base HEAD~1"), "what it needs is pulled"


def test_the_probe_gets_no_secret_and_nothing_but_the_release(on_laptop: Laptop, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    script = f"""
import os as _os, sys as _sys
from importlib.metadata import distributions as _all
_files = sorted(str(path) for path in Path().rglob("*") if path.is_file())
_packages = sorted(one.metadata["name"].lower() for one in _all())
Path({str(seen)!r}).write_text(json.dumps([dict(_os.environ), _files, _packages, _sys.path]))


def probe("""
    on_laptop.replace("src/serving/probe.py", "\n\ndef probe(", script)
    commit(on_laptop)
    secrets = (
        "GITHUB_TOKEN",
        "REGISTRY_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "ACTIONS_RUNTIME_TOKEN",
        "AZURE_CLIENT_SECRET",
    )
    on_laptop.env |= dict.fromkeys(secrets, "s3cret") | {"UV_INDEX_TEAM_PASSWORD": "s3cret", "PYTHONSTARTUP": "s3cret"}
    del on_laptop.env["GITHUB_TOKEN"]  # the review would ask GitHub
    on_laptop.run("python -m gitops review --base main")
    env, files, packages, path = json.loads(seen.read_text())
    assert "s3cret" not in env.values() and not [name for name in env if name in secrets]
    assert "build/model.bin" in files and "serving/service.py" in files and "schema.yaml" in files
    assert not [name for name in files if "gitops" in name or "table" in name or name.startswith("src/")]
    assert "bentoml" in packages and not {"pandas", "dvc", "scikit-learn", "skl2onnx", "pytest"} & set(packages)
    assert not [entry for entry in path if str(on_laptop.path / "src") in entry]
