"""The model review: champion against challenger on the same rows, and everything else that a reviewer should see."""

import json
import os
import time
from pathlib import Path
from typing import Any

from gitops import gates, goal, lock, store
from gitops.git import git, show
from gitops.project import Project, load, locked
from gitops.release import serve_check
from gitops.review import baseline, budgets, changes, page, report
from gitops.review.tables import BLOCKING
from gitops.shell import Stop, attempt, dvc, say, stream

SAME: dict[str, Any] = {
    "champion": {"state": "same", "note": "the model is the champion's, byte for byte"},
    **{part: [] for part in ("metrics", "segments", "notes", "charts", "claims", "budgets")},
    "value": {},
}


def review(base: str | None, out: Path) -> int:
    """Review the working tree against `base` and write `review.json`, `report.md` and `report.html` into `out`.

    A blocked model is an answer and not a failure: `gitops verdict` turns it into an exit code.
    """
    project, base = load(), _base(base)
    rules = _rules(base)
    checked = gates.check(rules)
    champion, where = baseline.champion(base, rules)
    store.pull()
    say(f"› is dvc.lock fresh? (champion: {champion[:9]}, {where})")
    stale = lock.stale()
    missing = [] if stale else lock.missing()
    result: dict[str, Any] = {
        "format": report.FORMAT,
        "commit": git("rev-parse", "HEAD"),
        "base": base,
        "fork": _is_fork(),
        "lock": {"stale": stale, "missing": missing},
        "against": {"commit": champion, "where": where},
        "trained": False,
    }
    result |= changes.since(base, project)
    if not stale and same_model(project, show(champion, "dvc.lock"), _text("dvc.lock")):
        result |= SAME
    else:
        from gitops.review.compare import compare  # pandas: slow to import, and most pull requests change no model

        seconds = _obtain(project, trusted=not stale and not missing, data=bool(result["data"]))
        found = compare(project, champion, rules, data_changes=bool(result["data"]))
        result |= {"trained": seconds is not None, "data": result["data"] + found.pop("moved")}
        takes = found.pop("takes")
        takes["challenger"]["training_seconds"] = seconds
        result |= found | {"budgets": budgets.rows(checked.budgets, **takes)}
    said = [*result["claims"], *goal.doubts(project), *serve_check.faults(project, base)]
    result["claims"] = list(dict.fromkeys(said))
    result |= conclude(result)
    _write(result, out)
    return 0


def conclude(result: dict[str, Any]) -> dict[str, Any]:
    """Return `verdict` (`pass`, `warn`, `block`) with the reasons that block and those that only want a look."""
    locks, rows = result["lock"], result["metrics"] + result["segments"]
    reasons = [row["reason"] for row in rows if row["verdict"] in BLOCKING]
    reasons += [row["reason"] for row in result["budgets"] if row["reason"]]
    reasons += result.get("claims", [])
    reasons += [f"dvc.lock is stale: {reason}" for reason in locks["stale"]]
    reasons += [f"{path} is not in the data remote" for path in locks["missing"]]
    warnings = [row["reason"] for row in rows if row["verdict"] in ("undecided", "waived")] + result["notes"]
    warnings += [f"the contract breaks its callers: {what}" for what in result["contract"]["breaks"]]
    if result["gates_changed"]:
        warnings.insert(0, "gates.yaml changes here: this review used the gates of the base")
    if result["factory_changed"]:
        files = ", ".join(result["factory_changed"][:5])
        warnings.insert(0, f"the factory changes here, the review ran with it: {files}")
    return {"verdict": "block" if reasons else "warn" if warnings else "pass", "reasons": reasons, "warnings": warnings}


def _base(revision: str | None) -> str:
    """Return the commit to compare with: the one named, else where this branch left main."""
    if revision:
        return git("rev-parse", "--verify", f"{revision}^{{commit}}")
    for main in ("origin/main", "main"):
        done = attempt("git", "merge-base", "HEAD", main)
        if done.returncode == 0:
            return done.stdout.strip()
    raise Stop("no branch `main` to compare with: name the champion's commit with --base")


def _rules(base: str) -> dict[str, Any]:
    """Return the gates of the base, so that a pull request can't lower its own bar; the first one brings its own."""
    return gates.read(show(base, "gates.yaml") or _text("gates.yaml"))


def _text(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


def _is_fork() -> bool:
    """Tell whether this workflow run reviews a fork's pull request."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text()) if path else {}
    head = (event.get("pull_request") or {}).get("head", {}).get("repo") or {}
    return bool(head) and head["full_name"] != os.environ.get("GITHUB_REPOSITORY")


def same_model(project: Project, old: str | None, new: str | None) -> bool:
    """Tell whether both locks name one model, one set of held-out rows, and the same results."""
    before, after = locked(old), locked(new)
    files = (project.model, project.rows, project.predictions, project.metrics)
    return project.model in after and all(before.get(path) == after.get(path) for path in files)


def _obtain(project: Project, *, trusted: bool, data: bool) -> float | None:
    """Bring the model, its predictions and the held-out rows here; train what the remote can't give.

    Changed data is brought too, to be compared. Returns the seconds that training took, or None where the author's
    artifacts are used.

    The run cache is left out: whoever can write to it can plant a model that no training made.
    """
    wanted = (project.model, project.rows, project.predictions, *((project.data,) if data else ()))
    if trusted and stream(*dvc("pull", *wanted)) == 0:
        return None
    start = time.monotonic()
    say("› training what is stale (dvc repro)")
    if stream(*dvc("repro", "--pull", "--allow-missing", "--no-run-cache")):
        raise Stop("the pipeline failed: the message of the stage is above")
    if not all(Path(path).exists() for path in wanted) and stream(*dvc("pull", *wanted)):
        say("› the data remote lacks them: training from the data")
        if stream(*dvc("repro", "--pull", "--no-run-cache")):
            raise Stop("the pipeline failed: the message of the stage is above; is the data itself in the data remote?")
    return time.monotonic() - start


def _write(result: dict[str, Any], out: Path) -> None:
    """Leave the facts for the jobs that follow, and the same report where people look."""
    out.mkdir(parents=True, exist_ok=True)
    text = report.render(result)
    (out / "review.json").write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    (out / "report.md").write_text(text)
    (out / "report.html").write_text(page.page(result))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)
    say(report.render(result | {"charts": []}))  # a terminal draws none
    say(f"Written: {out / 'report.html'}, {out / 'report.md'}, {out / 'review.json'}")
