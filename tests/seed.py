"""Make, once for all tests, a repository on a GitHub of our own whose branches hold one case of the life cycle each."""

import re
from pathlib import Path

import laptop
from fake_server import make_repository
from harness import environment, run
from world import REPOSITORY

ALPHA = r"alpha: [\d.]+"
STUMP = {
    r"kind: \w+": "kind: gradient_boosting",
    r"max_iter: \d+": "max_iter: 1",
    r"max_leaf_nodes: \d+": "max_leaf_nodes: 2",
}
TEST = '''"""In the place of the model's own tests, which test_project.py runs: a pull request would take their time."""

from serving.rows.schema import load_schema


def test_the_table_has_a_target() -> None:
    assert load_schema().target.name == "churn"
'''


def plant(prepared: Path, folder: Path) -> None:
    """Push a generated project as `main`; push these branches, the last five of which start at `first`.

    first      the first trained model, which is held so close to zero that it is easily beaten
    better     the template's own parameters
    worse      one tree with two leaves
    unchanged  another text and the same model
    stale      other parameters, never trained
    unpushed   a trained model whose files never reached the data remote, as from a fork
    """
    env = environment(folder / "home")
    project = laptop.copy(prepared, folder)
    for path in [
        *(project / name for name in ("dvc.lock", "metrics.json", "model.json")),
        *(project / "tests").glob("*.py"),
    ]:
        path.unlink()
    (project / "tests/test_model.py").write_text(TEST)
    origin = make_repository(folder / "hub", REPOSITORY)

    def shell(*argv: str) -> None:
        run(*argv, cwd=project, env=env)

    def branch(
        name: str, changes: dict[str, str], *commands: str, start: str = "first", file: str = "params.yaml"
    ) -> None:
        shell("git", "switch", "--quiet", "--create", name, start)
        text = (project / file).read_text()
        for old, new in changes.items():
            text, found = re.subn(old, new, text, count=1)
            assert found, f"{file} has no {old!r}: this case changes nothing"
        (project / file).write_text(text)
        for command in commands:
            shell("uv", "run", *command.split())
        shell("git", "add", "--all")
        shell("git", "commit", "--quiet", "-m", f"Make a model that is {name}")
        shell("git", "push", "--quiet", "origin", name)

    shell("git", "add", "--all")
    shell("git", "commit", "--quiet", "--amend", "--message", "Generate churn-model")
    shell("git", "remote", "add", "origin", str(origin))
    shell("git", "push", "--quiet", "origin", "main")
    train, push = "dvc repro --quiet", "gitops store push"
    branch("first", {ALPHA: "alpha: 100000.0"}, train, push, start="main")
    branch("better", {ALPHA: "alpha: 1.0"}, train, push)
    branch("worse", STUMP, train, push)
    branch("unchanged", {"churn-model": "our churn-model"}, file="README.md")
    branch("stale", {ALPHA: "alpha: 50000.0"})
    branch("unpushed", {ALPHA: "alpha: 10.0"}, train)
