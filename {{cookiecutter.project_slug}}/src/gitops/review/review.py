"""The model review of a pull request: what stands in the working tree against its base, and the report."""

import json
import os
import time
from pathlib import Path

from gitops import gates, lock, store
from gitops.git import git
from gitops.project import Project, load
from gitops.review import codec, page, report, state
from gitops.review.assess import Assignment, Obtained, assess
from gitops.review.baseline import champion_commit
from gitops.review.record import Changes, LockState, Review
from gitops.shell import CommandError, attempt, dvc, say, stream, watch, without_secrets


def review_commit(base: str | None, out: Path) -> int:
    """Review the working tree against `base` and write `review.json`, `report.md` and `report.html` into `out`.

    A blocked model is an answer and not a failure: `gitops verdict` turns it into an exit code.

    Raises:
        CommandError: there is nothing to compare with, or a file is not of its format.
    """
    project, base = load(), _base(base)
    before, now = state.of_commit(base, project), state.of_working_tree(project)
    # The base's gates, so that a pull request can't lower its own bar; the first one brings its own.
    checked = gates.read(before.gates or now.gates)
    commit, where = champion_commit(base, checked)
    champion = before if commit == base else state.of_commit(commit, project)
    store.pull()
    say(f"› is dvc.lock fresh? (champion: {commit[:9]}, {where})")
    locks = _lock_state()
    given = Assignment(
        project=project,
        commit=git("rev-parse", "HEAD"),
        base=before,
        champion=champion,
        where=where,
        challenger=now,
        gates=checked,
        lock=locks,
        fork=_is_fork(),
    )
    trusted = not locks.stale and not locks.missing
    _write(assess(given, lambda changes: _obtain(project, changes, trusted=trusted)), out)
    return 0


def _base(revision: str | None) -> str:
    """Return the commit to compare with: the one named, else where this branch left main."""
    if revision:
        return git("rev-parse", "--verify", f"{revision}^{{commit}}")
    for main in ("origin/main", "main"):
        done = attempt("git", "merge-base", "HEAD", main)
        if done.returncode == 0:
            return done.stdout.strip()
    raise CommandError("no branch `main` to compare with: name the champion's commit with --base")


def _lock_state() -> LockState:
    """Ask DVC about dvc.lock and the data remote.

    In a workflow a file that the remote lacks can't be reviewed. On a laptop that has the file it is only not pushed
    yet; that it is the locked one is known, since the lock is fresh.
    """
    stale = lock.stale()
    missing = [] if stale else lock.missing()
    on_runner = os.environ.get("GITHUB_ACTIONS") == "true"
    others = lock.other_versions() if missing and not on_runner else set()
    here = [path for path in missing if not on_runner and Path(path).exists() and path not in others]
    return LockState(tuple(stale), tuple(path for path in missing if path not in here), tuple(here))


def _is_fork() -> bool:
    """Tell whether this workflow run reviews a fork's pull request."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text()) if path else {}
    head = (event.get("pull_request") or {}).get("head", {}).get("repo") or {}
    return bool(head) and head["full_name"] != os.environ.get("GITHUB_REPOSITORY")


def _obtain(project: Project, changes: Changes, *, trusted: bool) -> Obtained:
    """Bring the model, its predictions and the held-out rows here; train what the remote can't give.

    Changed data is brought too, to be compared. `trusted`: the lock is fresh, and what it names can be had.

    The run cache is left out: whoever can write to it can plant a model that no training made.
    """
    wanted = (project.model, project.rows, project.predictions, *((project.data,) if changes.data else ()))
    if trusted and (all(Path(path).exists() for path in wanted) or stream(*dvc("pull", *wanted)) == 0):
        return Obtained()
    start = time.monotonic()
    say("› training what is stale (dvc repro)")
    ran = _reproduce("--pull", "--allow-missing")
    if not all(Path(path).exists() for path in wanted) and stream(*dvc("pull", *wanted)):
        say("› the data remote lacks them: training from the data")
        ran |= _reproduce("--pull", hint="; is the data itself in the data remote?")
    return Obtained(time.monotonic() - start if ran else None)


def _reproduce(*flags: str, hint: str = "") -> bool:
    """Run the pipeline and tell whether a stage ran; where all is up to date, none does.

    Raises:
        CommandError: a stage failed.
    """
    env = without_secrets(bucket=not store.is_git())
    code, lines = watch(*dvc("repro", *flags, "--no-run-cache"), word="Running stage ", env=env)
    if code:
        raise CommandError(f"the pipeline failed: the message of the stage is above{hint}")
    return lines > 0


def _write(review: Review, out: Path) -> None:
    """Leave the facts for the jobs that follow, and the same report where people look."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "review.json").write_text(codec.dumps(review))
    (out / "report.md").write_text(report.render(review))
    (out / "report.html").write_text(page.html_page(review))
    say(report.render(report.without_charts(review)))
    say(f"Written: {out / 'report.html'}, {out / 'report.md'}, {out / 'review.json'}")
