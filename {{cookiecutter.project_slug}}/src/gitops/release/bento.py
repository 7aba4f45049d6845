"""Build the Bento: exactly the files that pyproject.toml names, with the locked serving environment."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from gitops.git import paths
from gitops.project import Project, locked, md5
from gitops.shell import Stop, run

MANIFESTS = ("deploy", ":!deploy/argocd.yaml", ":!deploy/flux.yaml")  # those two are applied once, by hand
EXPORT = (
    "uv",
    "export",
    "--locked",
    "--quiet",
    "--only-group",
    "serve",
    "--no-emit-project",
    "--no-annotate",
    "--no-header",
)


def identity(project: Project) -> str:
    """Return the SHA-256 of what a release holds: each named file, the locked serving environment, and `deploy/`."""
    deploy = paths("ls-files", *MANIFESTS)
    named = sorted({*project.bento_files, *deploy} - {project.model})
    _present(named)
    parts = [f"{name} {hashlib.sha256(Path(name).read_bytes()).hexdigest()}" for name in named]
    parts += [f"model {locked(Path('dvc.lock').read_text())[project.model]}", run(*EXPORT)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def build(project: Project, version: str, labels: dict[str, str], out: Path) -> Path:
    """Build version `version` and return the path of the exported `.bento` file in `out`.

    The build runs in a folder which holds only the named files: BentoML takes all that it finds there (a `.env`, the
    data, DVC's cache), asks no `.gitignore`, and does not mind that a named file is missing.

    Raises:
        Stop: a named file is missing, the model is not the locked one, or the Bento holds other files than it should.
    """
    target = out / f"{project.name}-{version}.bento"
    _present(project.bento_files)
    _verify(project)
    with TemporaryDirectory() as folder:
        stage = Path(folder, "stage")
        for name in project.bento_files:
            (stage / _inside(name)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, stage / _inside(name))
        (stage / "requirements.txt").write_text(run(*EXPORT) + "\n")
        recipe = Path(folder, "bentofile.yaml")  # outside, or it would be packed as well
        recipe.write_text(yaml.safe_dump(_bentofile(project, labels)))
        env = os.environ | {
            "BENTOML_HOME": str(Path(folder, "home")),
            "BENTOML_DO_NOT_TRACK": "1",
            "PYTHONPATH": str(stage),
        }
        bentoml = (sys.executable, "-m", "bentoml")
        run(*bentoml, "build", "--bentofile", str(recipe), "--version", version, str(stage), cwd=stage, env=env)
        _assert_files(project, Path(folder, "home/bentos", project.name, version, "src"))
        out.mkdir(parents=True, exist_ok=True)
        partial = Path(folder, target.name)
        run(*bentoml, "export", f"{project.name}:{version}", str(partial), env=env)
        shutil.move(partial, target)
    return target


def _present(names: Iterable[str]) -> None:
    if missing := [name for name in names if not Path(name).is_file()]:
        raise Stop(f"{missing[0]} is missing, and a release needs it: `git status` and `uv run dvc status` say more")


def _verify(project: Project) -> None:
    """The file on disk must be the one that was reviewed: `dvc.lock` names it by hash."""
    if md5(Path(project.model)) != locked(Path("dvc.lock").read_text()).get(project.model):
        raise Stop(f"{project.model} is not the model that dvc.lock names: `uv run gitops store pull` brings it")


def _inside(name: str) -> str:
    """The Bento has no `src/` folder: what is imported lies at its root."""
    return name.removeprefix("src/")


def _bentofile(project: Project, labels: dict[str, str]) -> dict[str, object]:
    return {
        "service": project.service,
        "name": project.name,
        "labels": labels,
        "include": [_inside(name) for name in project.bento_files],
        "python": {"requirements_txt": "requirements.txt", "lock_packages": False},
    }


def _assert_files(project: Project, source: Path) -> None:
    """BentoML reports success whatever it packed."""
    found = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {_inside(name) for name in project.bento_files} | {"bentofile.yaml"}  # BentoML keeps the recipe
    if found != expected:
        raise Stop(f"the Bento does not hold what it should: {', '.join(sorted(found ^ expected)[:5])}")
