"""A second person's day, by the commands of the generated README alone: each block is read from it and run."""

import re
import shutil
from pathlib import Path

import pytest
from harness import SLUG, Failed, environment, needs, run
from laptop import Laptop

pytestmark = pytest.mark.slow


class Colleague:
    """Somebody with a fresh clone and a home of their own, who does what README.md says.

    `venv`: an environment with the same packages, which `uv run` then stands for; without it they make their own.
    """

    def __init__(self, folder: Path, origin: Path, name: str, venv: Path | None = None) -> None:
        self.env, self.path, self.installed = environment(folder / name), folder / name / SLUG, venv is not None
        if venv:  # its own `model` and `gitops` are another clone's: this one's go ahead of them
            self.env |= {"PYTHONPATH": str(self.path / "src"), "PATH": f"{venv / 'bin'}:{self.env['PATH']}"}
        run("git", "clone", "--quiet", origin, self.path, cwd=folder, env=self.env)

    def run(self, line: str) -> str:
        """Run one line as a shell does; return what it printed, errors too."""
        if self.installed:
            line = line.replace("uv sync", "true").replace("uv run gitops", "python -m gitops")
            line = line.replace("uv run model", "python -m model").replace("uv run ", "")
        return run("bash", "-c", f"set -e -o pipefail; ({line}) 2>&1", cwd=self.path, env=self.env, timeout=600)

    def follow(self, heading: str) -> dict[str, str]:
        """Run the first block of commands under a heading or sentence of README.md; return what each printed."""
        block = (
            (self.path / "README.md").read_text().partition(heading)[2].partition("```console\n")[2].partition("```")[0]
        )
        lines = [re.sub(r"\s+# .*", "", line.removeprefix("$ ")) for line in block.splitlines()]
        assert lines, f"README.md has no commands under {heading!r}"
        return {line: self.run(line) for line in lines if "$EDITOR" not in line}


@pytest.fixture
def venv(champion: Path) -> Path:
    """Return an environment that has all packages."""
    return champion / SLUG / ".venv"


@pytest.fixture
def origin(champion: Path, tmp_path: Path) -> Path:
    """Return the repository that the first person made and pushed."""
    needs("uv")
    first, bare = Laptop(champion, tmp_path / "first"), tmp_path / "origin.git"
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", bare, cwd=tmp_path, env=first.env)
    first.run("git switch --quiet main", f"git remote add origin {bare}", "python -m gitops store push")
    first.run("git push --quiet origin main")
    return bare


def test_a_fresh_clone_an_idea_and_somebody_elses_merge(origin: Path, tmp_path: Path, venv: Path) -> None:
    bob, carol = Colleague(tmp_path, origin, "bob"), Colleague(tmp_path, origin, "carol", venv)
    said = bob.follow("## Start")
    assert "What this commit names is here" in said["uv run gitops store pull"]
    assert "Data and pipelines are up to date." in said["uv run dvc repro"], "nothing is trained again"
    assert bob.run("git status --short") == ""
    assert "dvc.lock describes this commit" in bob.run("uv run gitops lock")

    params = bob.path / "params.yaml"
    params.write_text(params.read_text().replace("alpha: 1.0", "alpha: 2.0"))
    said = bob.follow("## Try an idea")
    assert "Running stage 'train'" in said["uv run dvc repro"] and "alpha" in said["uv run gitops review"]
    assert "Blocked" not in said["uv run gitops review"].splitlines()[-1]
    assert "idea" in bob.run("git branch --remotes")

    carol.run("uv run gitops store pull")
    bob.run("git switch --quiet main && git merge --quiet --no-ff -m Merge my-idea && git push --quiet")
    carol.run("git pull --quiet")  # and forgets the data
    lock = carol.run("uv run gitops lock")
    assert "dvc.lock describes this commit" in lock
    assert "Here lies another version of build/model.bin" in lock and "uv run gitops store pull" in lock
    assert "churn-model@v1.0.0" in carol.run("uv run gitops release --dry-run"), "the commit was trained, by bob"
    carol.follow("After somebody's merge")
    assert "Here lies another version" not in carol.run("uv run gitops lock")
    assert "Data and pipelines are up to date." in carol.run("uv run dvc repro")
    assert carol.run("git status --short") == ""


def test_a_clone_that_was_never_given_its_data_is_told_how(origin: Path, tmp_path: Path, venv: Path) -> None:
    bob = Colleague(tmp_path, origin, "bob", venv)
    with pytest.raises(Failed, match="uv run gitops store pull"):
        bob.run("uv run gitops card")
    with pytest.raises(Failed, match="uv run gitops store pull"):
        bob.run("uv run model score data/table.csv scores.csv")
    assert "dvc.lock describes this commit" in bob.run("uv run gitops lock"), "which mounts the store itself"


def test_a_plain_dvc_in_a_fresh_clone_finds_the_data(origin: Path, tmp_path: Path) -> None:
    bob = Colleague(tmp_path, origin, "bob")
    bob.run("uv sync --quiet")
    said = bob.run("uv run dvc repro")
    assert "first use of this clone's data remote" in said and "Data and pipelines are up to date." in said
    assert "first use" not in bob.run("uv run dvc repro"), "from then on DVC is DVC"
    shutil.rmtree(bob.path / ".dvc/store")
    shutil.rmtree(bob.path / ".dvc/cache")
    (bob.path / "build/model.bin").unlink()
    bob.run("uv run dvc pull")
    assert (bob.path / "build/model.bin").is_file()
    assert "first use" not in bob.run("uv run python -c 'print(1)'") + bob.run("uv run gitops --help")


def test_what_the_other_one_forgot_to_push_is_not_called_untrained(origin: Path, tmp_path: Path, venv: Path) -> None:
    ann, bob = (Colleague(tmp_path, origin, name, venv) for name in ("ann", "bob"))
    for one in (ann, bob):
        one.run("uv run gitops store pull")
    params = ann.path / "params.yaml"
    params.write_text(params.read_text().replace("alpha: 1.0", "alpha: 3.0"))
    ann.run("uv run dvc repro && git commit --quiet --all -m Idea && git push --quiet")
    bob.run("git pull --quiet")
    with pytest.raises(
        Failed, match=r"the model of this commit was never pushed(.|\n)*Whoever trained it runs"
    ) as failed:
        bob.run("uv run gitops release --dry-run")
    assert "never trained" not in str(failed.value)
    with pytest.raises(Failed, match="whoever trained it has to run `uv run gitops store push`"):
        bob.run("uv run gitops store pull")
    ann.run("uv run gitops store push")
    bob.run("uv run gitops store pull")
    assert "churn-model@v1.0.0" in bob.run("uv run gitops release --dry-run")


def test_a_second_worktree_shares_the_store_of_the_first(origin: Path, tmp_path: Path, venv: Path) -> None:
    bob = Colleague(tmp_path, origin, "bob", venv)
    bob.run("uv run gitops store pull && git worktree add --quiet -b idea ../idea")
    first, bob.path = bob.path, bob.path.with_name("idea")
    bob.env["PYTHONPATH"] = str(bob.path / "src")
    bob.run("python -m gitops store pull")
    assert (bob.path / ".dvc/store").resolve() == (first / ".dvc/store").resolve()
    assert (bob.path / "build/model.bin").read_bytes() == (first / "build/model.bin").read_bytes()
    params = bob.path / "params.yaml"
    params.write_text(params.read_text().replace("alpha: 1.0", "alpha: 2.0"))
    bob.run("dvc repro --quiet && git commit --quiet --all -m Idea && python -m gitops review")
    assert "of origin" in bob.run("python -m gitops store push")
    shutil.rmtree(first / ".dvc/store")  # the first one's mount is lost, and made again where it is needed
    assert "dvc.lock describes this commit" in bob.run("python -m gitops lock")
