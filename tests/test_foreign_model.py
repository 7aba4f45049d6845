"""Another team's model in the place of ours: other files, another format, another service, and the factory as it is."""

import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from harness import ROOT, TEMPLATE, Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

FOREIGN = Path(__file__).parent / "foreign"
LINES = 150
OURS = "src/model src/serving schema.yaml model.json metrics.json"


def digest(folder: Path) -> str:
    """Return the SHA-256 of all names and contents below a folder, apart from compiled files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    parts = [f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def move_in(project: Laptop) -> None:
    """Replace the model and the service by the foreign ones, train, and commit that to `main`."""
    project.run("git switch --quiet main", f"git rm -r --quiet --ignore-unmatch {OURS}")
    shutil.copytree(FOREIGN, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    settings = re.compile(r"\[tool\.gitops\]\n.*?\n(?=\[tool\.ruff\])", re.DOTALL)
    pyproject, count = settings.subn((FOREIGN / "gitops.toml").read_text() + "\n", project.read("pyproject.toml"))
    assert count == 1
    project.write("pyproject.toml", pyproject)
    project.run("rm gitops.toml dvc.lock", "dvc repro --quiet", "git add --all", "git commit --quiet -m Foreign")
    project.run("python -m gitops store push", "git switch --quiet --create idea")


def test_the_factory_serves_a_model_that_it_has_never_seen(on_laptop: Laptop) -> None:
    files = [path for path in FOREIGN.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(len(path.read_text().splitlines()) for path in files) < LINES
    move_in(on_laptop)
    assert digest(on_laptop.path / "src/gitops") == digest(ROOT / TEMPLATE / "src/gitops")

    on_laptop.write("params.yaml", "ridge: 8.0\n")
    on_laptop.run("dvc repro --quiet")
    report = on_laptop.review()
    assert "Both models scored the same 1,409 held-out rows" in report and "| `ridge` | `1.0` | `8.0` |" in report
    review = json.loads(on_laptop.read("review/review.json"))
    assert [row["name"] for row in review["facts"]["judgement"]["metrics"]] == ["roc_auc", "log_loss"]
    assert review["facts"]["model_format"] == "json" and review["verdict"] != "block"
    on_laptop.run("python -m gitops verdict")

    card = on_laptop.run("python -m gitops card")
    assert "`churn = Yes` from these 6 columns" in card and "| `ridge` | `8.0` |" in card and "`scorecard`" in card
    said = on_laptop.run("git switch --quiet main", "git merge --quiet idea", "python -m gitops release")
    assert "churn-model@v1.0.0 (the first release)" in said and on_laptop.run("git tag") == "churn-model@v1.0.0"
    with tarfile.open(on_laptop.path / "dist/churn-model-1.0.0.bento") as bento:
        names = {member.name.removeprefix("./") for member in bento.getmembers() if member.isfile()}
    code = {f"src/scorecard/{name}.py" for name in ("__init__", "core", "service", "probe")}
    assert {name for name in names if name.startswith("src/")} == code | {
        "src/build/scorecard.json",
        "src/bentofile.yaml",
    }, "what trains is not in it"
    assert on_laptop.run("python -m gitops verify 1.0.0").endswith("not checked: image.")


def test_a_foreign_model_that_reads_another_file_is_blocked_by_the_probe(on_laptop: Laptop) -> None:
    move_in(on_laptop)
    core = "src/scorecard/core.py"
    on_laptop.replace(core, "card = json.loads(FILE.read_text())", "card = json.loads(FILE.read_text()) | bias()")
    bias = '\n\ndef bias():\n    return json.loads(Path("bias.json").read_text())\n'
    on_laptop.write(core, on_laptop.read(core) + bias)
    on_laptop.write("bias.json", '{"bias": 0.0}')
    on_laptop.run("dvc repro --quiet")
    report = on_laptop.review()
    assert "the ˋserveˋ group alone can't serve the model: " in report
    assert "No such file or directory: 'bias.json'" in report
    with pytest.raises(Failed, match="Blocked"):
        on_laptop.run("python -m gitops verdict")
