"""Build the Bento: the files that pyproject.toml names, the code that they need, and the locked serving environment."""

import hashlib
import shutil
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from gitops import description, imports
from gitops.project import Project, locked, md5
from gitops.shell import CommandError, run, without_secrets

# what is in the image; the rest of deploy/ is settings, which reach an environment without another release
RECIPE = ("deploy/Containerfile", "deploy/runtime.py")
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


def contents(project: Project, root: Path = Path()) -> list[str]:
    """Return the paths of all that a release of the working tree in `root` holds, besides the locked packages.

    That is what `[tool.gitops.bento]` names, and the code which the service, the jobs, the probe and the model file
    import.

    Raises:
        CommandError: the description of the model can't be read, or it or pyproject.toml names a module that is not in
            `src/`.
    """
    return sorted({*project.bento.files, *code(project, description.load(project, root).model.code, root)})


def code(project: Project, modules: Iterable[str], root: Path = Path()) -> set[str]:
    """Return the paths of the code that the service, the jobs and the probe import, and these modules.

    Raises:
        CommandError: pyproject.toml names a module that is not in `src/`.
    """
    service, probe = project.bento.service.partition(":")[0], project.probe.split()[2]
    named = (service, probe, *project.bento.jobs, *modules)
    return {name for module in named for name in imports.closure(module, root)}


def identity(project: Project) -> str:
    """Return the SHA-256 of what a release holds: each file, the locked serving environment, and the image's recipe."""
    named = sorted({*contents(project), *RECIPE} - {project.model})
    _present(named)
    parts = [f"{name} {hashlib.sha256(Path(name).read_bytes()).hexdigest()}" for name in named]
    parts += [f"model {locked(Path('dvc.lock').read_text())[project.model]}", run(*EXPORT)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def build(project: Project, version: str, labels: dict[str, str], out: Path) -> Path:
    """Build version `version` and return the path of the exported `.bento` file in `out`.

    The build runs in a folder which holds only these files: BentoML takes all that it finds there (a `.env`, the
    data, DVC's cache), asks no `.gitignore`, and does not mind that a named file is missing.

    Raises:
        CommandError: a file is missing, the model is not the locked one, or the Bento holds other files than it should.
    """
    target = out / f"{project.name}-{version}.bento"
    with TemporaryDirectory() as folder:
        stage = Path(folder, "stage")
        names = lay_out(project, stage)
        (stage / "requirements.txt").write_text(run(*EXPORT) + "\n")
        recipe = Path(folder, "bentofile.yaml")  # outside, or it would be packed as well
        recipe.write_text(yaml.safe_dump(_bentofile(project, labels, names)))
        env = without_secrets() | {
            "BENTOML_HOME": str(Path(folder, "home")),
            "BENTOML_DO_NOT_TRACK": "1",
            "PYTHONPATH": str(stage),
        }
        bentoml = (sys.executable, "-m", "bentoml")
        run(*bentoml, "build", "--bentofile", str(recipe), "--version", version, str(stage), cwd=stage, env=env)
        _assert_files(names, Path(folder, "home/bentos", project.name, version, "src"))
        out.mkdir(parents=True, exist_ok=True)
        partial = Path(folder, target.name)
        run(*bentoml, "export", f"{project.name}:{version}", str(partial), env=env)
        shutil.move(partial, target)
    return target


def lay_out(project: Project, folder: Path) -> list[str]:
    """Copy what a release holds into a folder, where the service runs from, and return the paths in it.

    Raises:
        CommandError: a file is missing, or the model is not the locked one.
    """
    names = contents(project)
    _present(names)
    if md5(Path(project.model)) != locked(Path("dvc.lock").read_text()).get(project.model):
        raise CommandError(
            f"{project.model} is not the model that dvc.lock names: `uv run gitops store pull` brings it"
        )
    for name in names:
        target = folder / inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, target)
    return [inside(name) for name in names]


def _present(names: Iterable[str]) -> None:
    if missing := [name for name in names if not Path(name).is_file()]:
        raise CommandError(
            f"{missing[0]} is missing, and a release needs it: `git status` and `uv run dvc status` say more"
        )


def inside(name: str) -> str:
    """Return the place in a Bento of a file of the repository: what is imported lies at its root, without `src/`."""
    return name.removeprefix("src/")


def take_out(bento: Path, name: str, target: Path) -> Path | None:
    """Take one file out of a `.bento` file; None where it is not in it, or it is no Bento."""
    try:
        with tarfile.open(bento) as archive:
            member = next(member for member in archive if member.name.removeprefix("./") == f"src/{name}")
            content = archive.extractfile(member)
            target.write_bytes(content.read() if content else b"")
            return target
    except (OSError, tarfile.TarError, StopIteration):
        return None


def _bentofile(project: Project, labels: dict[str, str], names: list[str]) -> dict[str, object]:
    return {
        "service": project.bento.service,
        "name": project.name,
        "labels": labels,
        "include": names,
        "python": {"requirements_txt": "requirements.txt", "lock_packages": False},
    }


def _assert_files(names: list[str], source: Path) -> None:
    """BentoML reports success whatever it packed."""
    found = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {*names, "bentofile.yaml"}  # BentoML keeps the recipe
    if found != expected:
        raise CommandError(f"the Bento does not hold what it should: {', '.join(sorted(found ^ expected)[:5])}")
