"""What Git does with the files of a generated repository: their bytes, and what GitHub folds."""

from pathlib import Path

import pytest
from harness import environment, run

GENERATED = ["src/gitops/lock.py", "src/gitops/review/x/y.py", ".github/workflows/release.yml", "uv.lock", "dvc.lock"]
GENERATED += ["openapi.json", "model.json"]
WRITTEN = ["gates.yaml", "params.yaml", "schema.yaml", "goal.yaml", "dvc.yaml", "pyproject.toml", "metrics.json"]
WRITTEN += ["deploy/Containerfile", "deploy/overlays/production/kustomization.yaml", ".github/CODEOWNERS"]
WRITTEN += ["src/model/train.py", "src/serving/service.py", "tests/test_train.py", "data/table.csv.dvc", "README.md"]
KEPT = ["data/table.csv", "data/more/x.txt", "tests/rows.csv", "build/model.bin", "x.parquet"]


def attributes(project: Path, name: str) -> dict[str, str]:
    """Return what `git check-attr` says of a file."""
    said = run("git", "check-attr", "-z", "--all", "--", name, cwd=project, env=environment(project.parent / "home"))
    words = said.split("\0")
    return dict(zip(words[1::3], words[2::3], strict=False))


@pytest.mark.parametrize("name", GENERATED)
def test_what_no_person_wrote_is_folded(baked: Path, name: str) -> None:
    assert attributes(baked, name)["linguist-generated"] == "set"


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_person_wrote_is_shown_with_line_ends_that_are_the_same_everywhere(baked: Path, name: str) -> None:
    found = attributes(baked, name)
    assert "linguist-generated" not in found and found["eol"] == "lf" and found["text"] in ("auto", "set")


@pytest.mark.parametrize("name", KEPT)
def test_data_keeps_its_bytes(baked: Path, name: str) -> None:
    assert attributes(baked, name)["text"] == "unset"


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_the_bytes_are_the_same_whatever_a_clone_converts(baked: Path, tmp_path: Path, setting: str) -> None:
    env, first, clone = environment(tmp_path / "home"), tmp_path / "first", tmp_path / "clone"
    run("git", "init", "--quiet", first, cwd=tmp_path, env=env)
    texts = {"src/model/train.py": b"x = 1\n", "data/table.csv": b"a,b\r\n1,2\n", "params.yaml": b"seed: 1\n"}
    texts |= {".gitattributes": (baked / ".gitattributes").read_bytes()}
    for name, content in texts.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_bytes(content)
    run("git", "-c", f"core.autocrlf={setting}", "add", "--all", cwd=first, env=env)
    run("git", "commit", "--quiet", "--message", "One", cwd=first, env=env)
    run("git", "clone", "--quiet", "-c", f"core.autocrlf={setting}", first, clone, cwd=tmp_path, env=env)
    assert {name: (clone / name).read_bytes() for name in texts} == texts
