"""The runbook: every command of the generated docs/operations.md is run, on a project that was released twice."""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from gitops import __main__, tags
from gitops.project import load
from harness import Failed, needs, run
from laptop import Laptop

pytestmark = pytest.mark.slow

IMAGE = f"registry.example.invalid/acme/churn-model@sha256:{'b' * 64}"
OVERLAY = "deploy/overlays/production/kustomization.yaml"
# `uv` stands for the environment that is there already; what needs a cluster writes down what it was told.
UV = """#!/bin/sh
[ "$1" = run ] || exit 0
shift
case $1 in gitops | model) exec python -m "$@" ;; *) exec "$@" ;; esac
"""
CLUSTER = """#!/bin/sh
[ "$1" = kustomize ] && exec {real} "$@"
echo "$(basename "$0") $*" >> {log}
[ "$1" = logs ] && echo '{{"event":"prediction","request_id":"4f1c0a9be2d37c58"}}'
[ "$1" = apply ] && [ "$3" = - ] && cat >> {log}
exit 0
"""


class Operator:
    """Somebody who does what the page says, line by line."""

    def __init__(self, project: Laptop, folder: Path) -> None:
        self.project, self.path, self.log = project, project.path, folder / "cluster.log"
        self.origin, self.words = folder / "origin.git", dict[str, str]()
        self.headings: list[str] = []
        tools = folder / "tools"
        tools.mkdir()
        cluster = CLUSTER.format(real=run("which", "kubectl", cwd=folder, env=project.env), log=self.log)
        for name, text in (("uv", UV), ("kubectl", cluster), ("flux", cluster)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.env = project.env | {"PYTHONPATH": "src", "PATH": f"{tools}{os.pathsep}{project.env['PATH']}"}
        del self.env["IMAGE"]

    def run(self, line: str, *, apart: bool = False) -> str:
        """Run a line as a shell does, or where it can be done without another interpreter's start; return its output.

        Raises:
            Failed: its exit code was not 0; the text is all that it printed.
        """
        words = shlex.split(line)
        if apart or words[:3] != ["uv", "run", "gitops"] or {"|", ">", "&&"} & set(words):
            return run("bash", "-c", f"set -e -o pipefail; ({line}) 2>&1", cwd=self.path, env=self.env)
        said = io.StringIO()
        with (
            contextlib.chdir(self.path),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            mock.patch.dict(os.environ, self.env, clear=True),
            mock.patch("sys.argv", words[2:]),
        ):
            try:
                __main__.main()
            except SystemExit as done:
                if done.code:
                    raise Failed(said.getvalue()) from None
        return said.getvalue()

    def follow(self, heading: str, *, apart: bool = False) -> list[str]:
        """Run the next block of commands under a heading of the page; return what each printed."""
        blocks = section(self.project.read("docs/operations.md"), heading)
        lines = blocks[self.headings.count(heading)]
        self.headings.append(heading)
        said = []
        for line in lines:
            for placeholder, word in self.words.items():
                line = re.sub(rf"\b{placeholder}\b", word, line)
            said.append(self.edit() if line.startswith("$EDITOR") else self.run(line, apart=apart))
        return said

    def edit(self) -> str:
        """Change the settings of production."""
        self.project.replace(OVERLAY, "minReplicas, value: 2", "minReplicas, value: 3")
        return ""

    def version(self) -> str:
        """Return what production runs, as origin has it."""
        text = run("git", "show", "env/production:release.json", cwd=self.origin, env=self.env)
        return str(json.loads(text)["version"])

    def manifests(self, back: int = 0) -> str:
        """Return what production's manifests are, or were some commits ago."""
        return run("git", "show", f"env/production~{back}:manifests.yaml", cwd=self.origin, env=self.env)


def section(page: str, heading: str) -> list[list[str]]:
    """Return the commands of each block below a heading; comments are no part of them."""
    (_, text), *more = [part for part in parts(page) if part[0] == heading]
    assert not more
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\s{2,}# .*", "", line.removeprefix("$ ")) for line in block.splitlines()] for block in blocks]


def parts(page: str) -> Iterator[tuple[str, str]]:
    """Yield each heading of the page with the text below it."""
    for part in re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        yield heading, text


@pytest.fixture
def operator(released_project: Laptop, tmp_path: Path) -> Operator:
    """Return an operator of a project whose 1.1.0 runs everywhere, in the place of 1.0.0."""
    needs("kubectl")
    project, made = released_project, Operator(released_project, tmp_path)
    for mount in (".git/worktrees", ".dvc/store"):  # of the project that this one is a copy of
        shutil.rmtree(project.path / mount)
    project.run("git switch --quiet main", f"git init --quiet --bare --initial-branch=main {made.origin}")
    project.run(f"git remote add origin {made.origin}", "python -m gitops store push")
    project.run("git push --quiet --tags --set-upstream origin main")
    for place in ("staging", "production"):
        made.run(f"uv run gitops promote {place}")
    project.write("README.md", project.read("README.md") + "more\n")
    project.run("git commit --quiet --all -m More")
    with contextlib.chdir(project.path):
        text = tags.message(load(), "1.1.0", "another model", "1d" * 32, IMAGE)
    run("git", "tag", "--annotate", "--message", text, "churn-model@v1.1.0", cwd=project.path, env=project.env)
    project.run("git push --quiet origin main churn-model@v1.1.0")
    for place in ("staging", "production"):
        made.run(f"uv run gitops promote {place}")
    return made


def test_every_command_of_the_runbook(operator: Operator) -> None:
    follow, project, words = operator.follow, operator.project, operator.words

    status, verified = follow("Operations")
    assert "A rollback of production takes back the model: 1.1.0 → 1.0.0." in status and "Every link holds" in verified

    begun = time.monotonic()
    (said,) = follow("Go back now", apart=True)
    print(f"go back now: {time.monotonic() - begun:.1f} s")
    assert time.monotonic() - begun < 20 and operator.version() == "1.0.0"
    assert "takes back the model, 1.1.0 → 1.0.0; all of it as it ran then, byte for byte" in said
    follow("Go back now")
    assert operator.log.read_text().splitlines() == [
        "kubectl annotate application churn-model-production --namespace argocd argocd.argoproj.io/refresh=normal "
        "--overwrite",
        "flux reconcile kustomization churn-model-production --with-source",
    ]

    operator.run("uv run gitops promote production 1.1.0")
    away = operator.origin.rename(operator.origin.with_name("away"))
    operator.log.unlink()
    *_, said = follow("Go back while GitHub or Actions is down")
    applied = operator.log.read_text().partition("kubectl apply --filename -\n")[2]
    away.rename(operator.origin)
    before = operator.manifests(back=1)
    assert applied.strip() == before.strip() and "1.1.0 → 1.0.0" in said and operator.version() == "1.1.0"
    follow("Go back while GitHub or Actions is down")
    assert operator.version() == "1.0.0"

    _, changes, difference, merges = follow("Who changed what and why")
    assert "Reason: as it was done by hand while GitHub was down" in changes and "Requested-by: Dana <" in changes
    assert f"-        image: {IMAGE}" in difference and merges == ""

    prediction(operator)

    words["DIGEST"] = "d" * 64
    key, _ = follow("Rotate a key")
    assert re.search(r"\b[0-9a-f]{64}\b", key)
    assert f'--patch {{"stringData": {{"crm-next": "{words["DIGEST"]}"}}}}' in operator.log.read_text()
    follow("Rotate a key")
    assert '--patch {"data": {"crm": null}}' in operator.log.read_text()

    settings(operator)

    operator.run("uv run gitops promote production 1.1.0")
    withdrawn, back = follow("A release that must not run")
    assert "1.1.0 is withdrawn: trained on rows that we may not use" in withdrawn and "production runs it" in withdrawn
    assert operator.version() == "1.0.0" and "staging runs it" in withdrawn and "1.1.0 → 1.0.0" in back
    operator.run("uv run gitops rollback staging")

    by_hand(operator)

    table, _, year, verified = follow("An audit of a year")
    assert "✗ withdrawn on " in table and "production: 20" in table
    rows = list(csv.DictReader((operator.path / "releases.csv").read_text().splitlines()))
    assert [row["version"] for row in rows] == ["1.0.0", "1.1.0"] and rows[0]["merged_by"].startswith("Dana <")
    assert rows[0]["production"].endswith("/..") and rows[1]["production"].count("/") == 3
    assert rows[1]["withdrawn"].endswith("by Dana: trained on rows that we may not use") and rows[1]["image"] == IMAGE
    assert float(rows[0]["roc_auc"]) == json.loads(project.read("metrics.json"))["roc_auc"]
    assert "Reason: 1.1.0 was withdrawn" in year and "Every link holds" in verified

    words |= {"NEW_REPOSITORY": str(operator.origin.with_name("new.git")), "REPOSITORY": str(operator.origin)}
    run("git", "init", "--quiet", "--bare", "-b", "main", words["NEW_REPOSITORY"], cwd=operator.path, env=operator.env)
    follow("Restore from nothing")
    (operator.path / "dist").rename(operator.path / "assets")
    _, status, _ = follow("Restore from nothing")
    restored = operator.path.with_name("restored")
    for name in ("data/table.csv", "build/model.bin"):
        assert (restored / name).read_bytes() == (operator.path / name).read_bytes()
    assert "production   1.0.0" in status and operator.log.read_text().endswith(f"{before.rstrip()}\n")
    assert "✓ assets: " in follow("Restore from nothing")[0]

    page = project.read("docs/operations.md")
    assert {heading: len(section(page, heading)) for heading, text in parts(page) if "```" in text} == {
        heading: operator.headings.count(heading) for heading in operator.headings
    }, "no block was left out"


def prediction(operator: Operator) -> None:
    """From a prediction back to what made it."""
    lock = operator.project.read("dvc.lock")
    model = re.search(r"path: build/model.bin\n\s+hash: md5\n\s+md5: (\w+)", lock)
    data = re.search(r"path: data/table.csv\n\s+hash: md5\n\s+md5: (\w+)", lock)
    assert model and data
    operator.words |= {"REQUEST_ID": "4f1c0a9be2d37c58", "MODEL_MD5": model[1]}
    line, release, row, tag, locked = operator.follow("Which data and code made this prediction")
    assert "4f1c0a9be2d37c58" in line and data[1][:12] in release and "another model" in release
    assert (
        row.splitlines()[-1].startswith("1.1.0,") and data[1] in row and IMAGE in tag and locked.strip() == lock.strip()
    )
    _, there, verified, _ = operator.follow("Which data and code made this prediction")
    assert "Data and pipelines are up to date." in there and "✓ data remote" in verified
    operator.follow("Which data and code made this prediction")
    files = operator.path.with_name("churn-model-files")
    assert (files / "build/model.bin").read_bytes() == (operator.path / "build/model.bin").read_bytes()


def settings(operator: Operator) -> None:
    """More replicas, and back."""
    heading, old = "More replicas, more memory, another caller", operator.project.run("git rev-parse main")
    operator.words["COMMIT"] = old
    operator.follow(heading)
    operator.project.run("git switch --quiet main", "git merge --quiet more-replicas", "git push --quiet")
    preview, _ = operator.follow(heading)
    assert "-  minReplicas: 2" in preview and "+  minReplicas: 3" in preview
    assert "minReplicas: 3" in operator.manifests() and operator.version() == "1.0.0"
    operator.follow(heading)
    assert "minReplicas: 2" in operator.manifests()


def by_hand(operator: Operator) -> None:
    """Edit what production runs, and set it right."""
    project, heading = operator.project, "Something was changed by hand"

    def edit(*changes: tuple[str, str, str]) -> None:
        project.run("git fetch --quiet origin", "git switch --quiet --detach origin/env/production")
        for change in changes:
            project.replace(*change)
        project.run("git commit --quiet --all -m Try", "git push --quiet origin HEAD:env/production")
        project.run("git switch --quiet main")

    edit(("manifests.yaml", "minReplicas: 2", "minReplicas: 9"))
    with pytest.raises(Failed, match=r"(?s)✗ env/production: the manifests were changed by hand: .*minReplicas: 9"):
        operator.run("uv run gitops verify")
    operator.follow(heading)
    assert "minReplicas: 2" in operator.manifests() and "Every link holds" in operator.run("uv run gitops verify")
    edit(*((name, "a" * 64, "c" * 64) for name in ("manifests.yaml", "release.json")))
    with pytest.raises(Failed, match="image is .* in release.json, and .* in the tag churn-model@v1.0.0"):
        operator.run("uv run gitops verify")
    operator.follow(heading)
    assert "Every link holds" in operator.run("uv run gitops verify")
