"""How an environment gets from one state to the next: what is shown before, written with it, and said after."""

import difflib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops.environments import branches
from gitops.environments.branches import State
from gitops.git import git, has_origin
from gitops.identifiers import one_line
from gitops.shell import CommandError, attempt, say

RUN = ("SERVER_URL", "REPOSITORY", "RUN_ID", "ACTOR")
ATTEMPTS = 5  # pushes that lose the race to somebody else's before we give up


@dataclass(frozen=True)
class Request:
    """What the caller of a change asked for besides the change.

    Attributes:
        dry_run: only show it.
        reason: the person's own words, for the commit.
        approved: what `token` returned when the change was shown to those who approved it; "" where nobody did.
    """

    dry_run: bool = False
    reason: str = ""
    approved: str = ""


PLAIN = Request()


@dataclass(frozen=True)
class Change:
    """A change of an environment: from `now` to the tree `then`, whose manifests are given too.

    Attributes:
        words: what changes, such as `1.0.0 → 1.1.0`.
        argument: the version or commit that names the same change on the command line.
        text: the commit message without its trailers.
        facts: trailers of this kind of change.
    """

    environment: str
    now: State | None
    then: str
    manifests: str
    words: str
    argument: str
    text: list[str]
    facts: list[str]


def carry_out(change: Change, request: Request) -> bool:
    """Show a change or make it; False where somebody else was faster and the caller has to look again.

    Raises:
        CommandError: it is not what was approved, or the branch may not be pushed.
    """
    if request.approved and request.approved != token(change):
        raise CommandError(
            f"this is no longer what was approved: env/{change.environment}, the release or its settings have changed "
            "since. Nothing was done; start it again, and look at it again"
        )
    if request.dry_run:
        _preview(change)
        return True
    message = "\n".join([*change.text, "", *change.facts, *_trailers(change.now, request.reason)])
    made = branches.commit(change.environment, change.now, change.then, message)
    if made is None:
        say("› somebody was faster: looking again")
        return False
    where = f"env/{change.environment}"
    where = f"{where} of origin" if has_origin() else f"the local branch {where} (no `origin` here)"
    say(f"{change.environment}: {change.words}, commit {made[:9]} on {where}")
    return True


def token(change: Change) -> str:
    """Return what stands for exactly this change: the state it starts from, and the tree that it makes."""
    return f"{change.now.commit if change.now else 'nothing'}:{change.then}"


def faster(environment: str) -> CommandError:
    """Return what to raise when others keep changing the branch."""
    return CommandError(
        f"somebody else changed env/{environment} meanwhile: look at `uv run gitops status`, and run this again if it "
        "is still wanted"
    )


def running(now: State | None) -> str:
    """Return the version that runs, in words."""
    return (now.version or "an unknown version") if now else "nothing"


def _trailers(now: State | None, reason: str) -> list[str]:
    """Return the trailers that say why, what a state replaces, who asked for it, and from where."""
    lines = [f"Reason: {one_line(reason)}"] if one_line(reason) else []
    lines += [f"Replaces: {running(now)} ({now.commit})"] if now else []
    if os.environ.get("GITHUB_ACTIONS") == "true":
        server, repository, number, actor = (one_line(os.environ.get(f"GITHUB_{key}", "")) for key in RUN)
        return [*lines, f"Requested-by: @{actor}", f"Run: {server}/{repository}/actions/runs/{number}"]
    who = attempt("git", "var", "GIT_COMMITTER_IDENT").stdout.rpartition(">")[0]
    who = f"{one_line(who)}>" if who else "somebody whom Git does not know"
    return [*lines, f"Requested-by: {who}", f"From: a clone on {one_line(socket.gethostname())}"]


def _preview(change: Change) -> None:
    """Print what a change would do to the cluster, and hand it on to the next job of a workflow."""
    lines = list(difference(change.now.file("manifests.yaml") if change.now else "", change.manifests))
    say(f"Would change {change.environment}: {change.words}")
    for line in lines:
        say(f"  {line}")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a") as file:
            file.write(f"argument={change.argument}\nwords={change.words}\napproved={token(change)}\n")
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a") as file:
            text = "\n".join(f"    {line}" for line in lines)  # indented: no text of a manifest ends the block
            file.write(f"### {change.environment}: {change.words}\n\n{text}\n")


def difference(old: str, new: str) -> Iterator[str]:
    """Yield what changes; of a first promotion only which objects it makes."""
    if not old:
        return (f"+ {entry['kind']} {entry['metadata']['name']}" for entry in yaml.safe_load_all(new))
    return (line for line in difflib.unified_diff(old.splitlines(), new.splitlines(), "now", "then", n=2, lineterm=""))


def subject(commit: str) -> str:
    """Return the first line of a commit's message."""
    return one_line(git("show", "--no-patch", "--format=%s", "--end-of-options", commit), 72)
