"""A team's day on GitHub: pull requests, merges and the workflow runs that they start, all on this machine."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import act
from act import Job, Run
from fake_github import FakeGitHub
from fake_server import BOT_TOKEN, FORK_TOKEN
from harness import environment, run

REPOSITORY = "acme/churn-model"
REPOSITORY_JSON = {
    "name": "churn-model",
    "full_name": REPOSITORY,
    "default_branch": "main",
    "private": True,
    "owner": {"login": "acme"},
}
COMMON = {"repository": REPOSITORY_JSON, "sender": {"login": "dana"}}


@dataclass(frozen=True)
class Event:
    """What starts a workflow: its name, the commit that it runs on, the JSON that GitHub sends, and the run's token."""

    name: str
    sha: str
    payload: dict[str, Any]
    token: str = BOT_TOKEN


class World:
    """The repository `hub/acme/churn-model.git` on a fake GitHub, a maintainer's clone of it, and runners."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, 0
        self.variables, self.machine = {"IMAGE": "none"}, dict[str, str]()
        self.hub = FakeGitHub(folder / "hub", REPOSITORY)
        self.origin = folder / "hub" / f"{REPOSITORY}.git"
        self.env = environment(folder / "maintainer")
        self.clone = folder / "clone"
        run("git", "clone", "--quiet", self.origin, self.clone, cwd=folder, env=self.env)

    def __enter__(self) -> Self:
        self.hub.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.hub.__exit__(kind, error, None)

    def git(self, *argv: str) -> str:
        """Run Git in the maintainer's clone, whose origin is the bare repository's folder."""
        return run("git", *argv, cwd=self.clone, env=self.env)

    def commit(self, branch: str, files: dict[str, str], start: str = "origin/main") -> str:
        """Commit and push files (path -> text) on a branch, which is made if needed; return the commit."""
        self.git("fetch", "--quiet", "origin")
        known = self.git("branch", "--remotes", "--list", f"origin/{branch}")
        self.git("switch", "--quiet", "--force-create", branch, f"origin/{branch}" if known else start)
        for name, text in files.items():
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"Change {', '.join(files) or 'nothing'}")
        self.git("push", "--quiet", "origin", branch)
        return self.git("rev-parse", "HEAD")

    def open_pr(self, branch: str, number: int = 7, fork: str | None = None) -> Event:
        """Open a pull request, or tell GitHub of a push to one; a fork's branch is not in this repository."""
        base, head, merge = self._merge(branch)
        self.git(
            "push",
            "--quiet",
            "--force",
            "origin",
            f"{head}:refs/pull/{number}/head",
            f"{merge}:refs/pull/{number}/merge",
        )
        if fork:
            self.git("push", "--quiet", "origin", "--delete", branch)
        home = REPOSITORY_JSON | ({"full_name": f"{fork}/churn-model", "owner": {"login": fork}} if fork else {})
        pull = {"number": number, "title": branch, "body": "", "draft": False, "state": "open", "merged": False}
        pull |= {"labels": [], "merge_commit_sha": merge, "user": {"login": fork or "dana"}}
        pull |= {
            "head": {"ref": branch, "sha": head, "repo": home},
            "base": {"ref": "main", "sha": base, "repo": REPOSITORY_JSON},
        }
        self.hub.pulls = [row for row in self.hub.pulls if row["number"] != number] + [pull]
        payload = {"action": "synchronize", "number": number, "pull_request": pull} | COMMON
        return Event("pull_request", merge, payload, FORK_TOKEN if fork else BOT_TOKEN)

    def queue(self, branch: str, number: int = 7) -> Event:
        """Put a pull request into the merge queue."""
        base, _, merge = self._merge(branch)
        ref = f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}"
        self.git("push", "--quiet", "origin", f"{merge}:{ref}")
        group = {"head_sha": merge, "head_ref": ref, "base_sha": base, "base_ref": "refs/heads/main"}
        return Event("merge_group", merge, {"action": "checks_requested", "merge_group": group} | COMMON)

    def merge(self, branch: str) -> Event:
        """Merge a branch to `main`, which is a push to it."""
        base, head, merge = self._merge(branch)
        self.git("push", "--quiet", "origin", f"{merge}:refs/heads/main")
        for pull in self.hub.pulls:
            if pull["head"]["sha"] == head:
                pull |= {"state": "closed", "merged": True, "merge_commit_sha": merge}
        push = {"ref": "refs/heads/main", "before": base, "after": merge, "head_commit": {"id": merge}}
        return Event("push", merge, push | COMMON)

    def dispatch(self, **inputs: str) -> Event:
        """Let somebody start a workflow on `main` by hand."""
        self.git("fetch", "--quiet", "origin")
        payload = {"ref": "refs/heads/main", "inputs": inputs}
        return Event("workflow_dispatch", self.git("rev-parse", "origin/main"), payload | COMMON)

    def _merge(self, branch: str) -> tuple[str, str, str]:
        """Return the tip of `main`, the tip of the branch, and a merge commit with these two parents."""
        self.git("fetch", "--quiet", "--prune", "origin")
        base, head = self.git("rev-parse", "origin/main"), self.git("rev-parse", f"origin/{branch}")
        self.git("switch", "--quiet", "--detach", base)
        # the same branches make the same commit in each world, and so the same image
        when = {"GIT_COMMITTER_DATE": self.git("show", "--no-patch", "--format=%cI", head)}
        when |= {"GIT_AUTHOR_DATE": when["GIT_COMMITTER_DATE"]}
        merge = ("merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", head)
        run("git", *merge, cwd=self.clone, env=self.env | when)
        return base, head, self.git("rev-parse", "HEAD")

    def act(self, event: Event, workflow: str, timeout: float = 600) -> Run:
        """Run one workflow for one event on a fresh runner."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        job = Job(
            REPOSITORY,
            self.origin,
            self.hub.url,
            folder,
            event.name,
            event.sha,
            event.payload,
            event.token,
            self.variables,
            self.machine,
        )
        return act.start(job, workflow, timeout)

    def refs(self, pattern: str) -> dict[str, str]:
        """Return short name -> object type of the refs on GitHub that match."""
        lines = run("git", "for-each-ref", "--format=%(refname) %(objecttype)", pattern, cwd=self.origin, env=self.env)
        return dict(line.split() for line in lines.splitlines())
