"""A trained project, made once and copied for each case, and one person's copy of it."""

import os
import shutil
from pathlib import Path

from gitops.release import serve_check
from harness import SLUG, bake, copy_template, environment, run

SERVE = serve_check.ENVIRONMENT.name
APART = shutil.ignore_patterns(".venv", SERVE, ".mypy_cache")


def prepare(template: Path, folder: Path) -> None:
    """Generate a project, commit it, install it where it may be copied from, train it and check it; only for copying.

    So whoever copies it finds the packages compiled and type-checked. Nothing may run in it later, as that would write
    into the environment while another worker copies it.
    """
    env = environment(folder / "home")
    project = bake(template, folder, env)
    for command in (
        "uv venv --quiet --relocatable",
        "uv sync --quiet",
        "git add --all",
        "git commit --quiet --message Generate",
        "uv run dvc repro --quiet",
        "uv run pre-commit run --all-files",
        "uv run pytest --quiet tests/test_data.py tests/test_schema.py",
    ):
        run(*command.split(), cwd=project, env=env)
    env["UV_PROJECT_ENVIRONMENT"] = SERVE
    run(*serve_check.SYNC, "--compile-bytecode", cwd=project, env=env)


def link(origin: Path, project: Path, name: str) -> None:
    """Copy an environment of one project into another, as hard links."""
    shutil.copytree(origin / name, project / name, symlinks=True, copy_function=os.link)


def install(prepared: Path, project: Path, env: dict[str, str]) -> Path:
    """Install a project of the default answers as `uv sync` does, and return it; the packages are copied as links."""
    origin = prepared / SLUG
    for name in (".venv", SERVE):
        link(origin, project, name)
    shutil.copytree(origin / ".mypy_cache", project / ".mypy_cache")  # a data base, which is written in place
    shutil.copy(origin / "uv.lock", project)
    run("uv", "sync", "--quiet", cwd=project, env=env)
    return project


def copy(prepared: Path, folder: Path) -> Path:
    """Copy the trained project with an environment of its own, and return it; `main` holds no model yet."""
    project = folder / SLUG
    shutil.copytree(prepared / SLUG, project, ignore=APART, symlinks=True)
    return install(prepared, project, environment(folder / "home"))


def train(prepared: Path, folder: Path) -> None:
    """Copy the trained project and commit its model as the champion of `main`."""
    project, env = copy(prepared, folder), environment(folder / "home")
    for command in ("git add --all", "git commit --quiet -m Champion"):
        run(*command.split(), cwd=project, env=env)


def from_template(folder: Path) -> None:
    """Make the champion's project in `folder / "trained"`, from nothing: what the benches start from."""
    prepare(copy_template(folder / "template"), folder / "prepared")
    train(folder / "prepared", folder / "trained")


class Laptop:
    """A copy of the trained project, on a branch of its own."""

    def __init__(self, trained: Path, folder: Path) -> None:
        self.path, origin = folder / SLUG, trained / SLUG
        shutil.copytree(origin, self.path, ignore=APART, symlinks=True)
        link(origin, self.path, SERVE)
        # the environment's own `model` and `gitops` are the original's: this copy's go ahead of them
        paths = f"{origin / '.venv/bin'}{os.pathsep}"
        self.env = environment(folder / "home") | {"PYTHONPATH": str(self.path / "src"), "IMAGE": "none"}
        self.env["PATH"] = paths + self.env["PATH"]
        self.run("git switch --quiet --create case")

    def run(self, *commands: str) -> str:
        """Run commands, each in words without quotes; return what the last one printed."""
        return [run(*command.split(), cwd=self.path, env=self.env) for command in commands][-1]

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit a file; a text that is not in it would make a case that changes nothing."""
        text = self.read(name)
        assert old in text, f"{name} has no {old!r}"
        self.write(name, text.replace(old, new))

    def review(self, *, push: bool = True) -> str:
        """Commit everything, push the data, and return the report."""
        self.run("git add --all", "git commit --quiet --message case")
        if push:
            self.run("python -m gitops store push")
        self.run("python -m gitops review --base main")
        return self.read("review/report.md")
