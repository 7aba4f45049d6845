"""One person's trained project, copied for each case: the environment is shared, the rest is the copy's own."""

import os
import shutil
from pathlib import Path

from harness import SLUG, bake, environment, run


def train(template: Path, folder: Path) -> None:
    """Generate a project with its environment, train it and commit that model as the champion of `main`."""
    env = environment(folder / "home")
    project = bake(template, folder, env)
    for command in ("uv sync --quiet", "uv run dvc repro --quiet", "git add --all", "git commit --quiet -m Champion"):
        run(*command.split(), cwd=project, env=env)


class Laptop:
    """A copy of the trained project, on a branch of its own."""

    def __init__(self, trained: Path, folder: Path) -> None:
        self.path, origin = folder / SLUG, trained / SLUG
        shutil.copytree(origin, self.path, ignore=shutil.ignore_patterns(".venv"), symlinks=True)
        # the environment's own `model` and `gitops` are the original's: this copy's go ahead of them
        paths = f"{origin / '.venv/bin'}{os.pathsep}"
        self.env = environment(folder / "home") | {"PYTHONPATH": str(self.path / "src")}
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
