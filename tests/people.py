"""People who share one bare repository, each with a clone and a home; the factory runs from where it lies."""

import os
import shutil
import sys
from pathlib import Path

from harness import BYTECODE, ROOT, TEMPLATE, environment, run

SOURCE = ROOT / TEMPLATE


class Person:
    """Somebody's clone, and the two commands they use."""

    def __init__(self, folder: Path, origin: Path, name: str) -> None:
        self.path, self.env = folder / name, environment(folder / f"home-{name}")
        self.env |= {"PYTHONPATH": str(SOURCE / "src"), "PYTHONPYCACHEPREFIX": BYTECODE}
        if self.path.exists():  # a copy of somebody's clone: what names the original's place is set anew
            run("git", "remote", "set-url", "origin", origin, cwd=self.path, env=self.env)
            shutil.rmtree(self.path / ".git/worktrees", ignore_errors=True)
            shutil.rmtree(self.path / ".dvc/store", ignore_errors=True)
        else:
            run("git", "clone", "--quiet", origin, self.path, cwd=folder, env=self.env)

    def git(self, *argv: str) -> str:
        return run("git", *argv, cwd=self.path, env=self.env)

    def git_wrapper(self, first: str) -> None:
        """Let this person's `git` run a shell command before each of its own."""
        real, folder = shutil.which("git"), self.path.with_name("wrapper")
        folder.mkdir()
        (folder / "git").write_text(f'#!/bin/sh\nPATH={self.env["PATH"]}\n{first}\nexec {real} "$@"\n')
        (folder / "git").chmod(0o755)
        self.env["PATH"] = f"{folder}{os.pathsep}{self.env['PATH']}"

    def gitops(self, *argv: str) -> str:
        return run(sys.executable, "-m", "gitops", *argv, cwd=self.path, env=self.env)

    def dvc(self, *argv: str) -> str:
        return run(sys.executable, "-m", "dvc", *argv, cwd=self.path, env=self.env)

    def add(self, name: str, content: bytes) -> str:
        """Track a new file and return the name that the store gives it."""
        (self.path / name).write_bytes(content)
        self.dvc("add", "--quiet", name)
        md5 = next(line.split()[-1] for line in (self.path / f"{name}.dvc").read_text().splitlines() if "md5:" in line)
        return f"files/md5/{md5[:2]}/{md5[2:]}"


def found(folder: Path) -> Path:
    """Return a new bare repository whose `main` has DVC set up the way the template does it."""
    env, first, bare = environment(folder / "home"), folder / "first", folder / "origin.git"
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", bare, cwd=folder, env=env)
    run("git", "clone", "--quiet", bare, first, cwd=folder, env=env)
    (first / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore"):
        (first / name).write_bytes((SOURCE / name).read_bytes())
    run("git", "add", "--all", "--force", cwd=first, env=env)
    run("git", "commit", "--quiet", "-m", "Start", cwd=first, env=env)
    run("git", "push", "--quiet", "origin", "HEAD:main", cwd=first, env=env)
    return bare
