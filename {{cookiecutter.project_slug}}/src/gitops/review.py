"""The model review: champion against challenger on the same rows, and everything else that a reviewer should see."""

import json
import math
import os
import shlex
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml

from gitops import contract, lock, report, store
from gitops.git import git, show
from gitops.judge import BLOCKING, decide, judge
from gitops.project import Project, load, locked
from gitops.shell import Stop, attempt, dvc, run, say, stream


def review(base: str | None, out: Path) -> int:
    """Review the working tree against `base` and write `review.json` and `report.md` into `out`.

    A blocked model is an answer and not a failure: `gitops verdict` turns it into an exit code.
    """
    project, base = load(), _base(base)
    store.pull()
    say(f"› is dvc.lock fresh? (champion: {base[:9]})")
    old_lock, stale = show(base, "dvc.lock"), lock.stale()
    missing = [] if stale else lock.missing()
    unchanged = not stale and _same_model(project, old_lock, _text("dvc.lock"))
    result: dict[str, Any] = {
        "format": report.FORMAT,
        "commit": git("rev-parse", "HEAD"),
        "base": base,
        "fork": _is_fork(),
        "lock": {"stale": stale, "missing": missing},
        "params": _parameter_changes(show(base, "params.yaml"), _text("params.yaml")),
        "data": _data_changes(show(base, f"{project.data}.dvc"), _text(f"{project.data}.dvc")),
        "contract": dict(
            zip(
                ("change", "breaks"),
                contract.change(show(base, project.contract), _text(project.contract)),
                strict=True,
            )
        ),
        "gates_changed": show(base, "gates.yaml") not in (None, _text("gates.yaml")),
        "factory_changed": git(
            "diff", "--name-only", base, "--", "src/gitops", ".github", "pyproject.toml"
        ).splitlines(),
    }
    if unchanged:
        result |= {
            "champion": {"state": "same", "note": "the model is the champion's, byte for byte"},
            "metrics": [],
            "trained": False,
        }
    else:
        result["trained"] = _obtain(project, trusted=not stale and not missing)
        result |= _compare(project, base, old_lock, _gates(show(base, "gates.yaml") or _text("gates.yaml")))
    result |= conclude(result)
    _write(result, out)
    return 0


def conclude(result: dict[str, Any]) -> dict[str, Any]:
    """Return `verdict` (`pass`, `warn`, `block`) with the reasons that block and those that only want a look."""
    locks, metrics = result["lock"], result["metrics"]
    reasons = [row["reason"] for row in metrics if row["verdict"] in BLOCKING]
    reasons += [f"dvc.lock is stale: {reason}" for reason in locks["stale"]]
    reasons += [f"{path} is not in the data remote" for path in locks["missing"]]
    warnings = [row["reason"] for row in metrics if row["verdict"] == "undecided"]
    warnings += [f"the contract breaks its callers: {what}" for what in result["contract"]["breaks"]]
    if result["gates_changed"]:
        warnings.append("gates.yaml changes here: this review used the gates of the base")
    if result["factory_changed"]:
        warnings.append(f"the factory changes here, the review ran with it: {', '.join(result['factory_changed'][:5])}")
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


def _text(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


def _is_fork() -> bool:
    """Tell whether this workflow run reviews a fork's pull request."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text()) if path else {}
    head = (event.get("pull_request") or {}).get("head", {}).get("repo") or {}
    return bool(head) and head["full_name"] != os.environ.get("GITHUB_REPOSITORY")


def _same_model(project: Project, old: str | None, new: str | None) -> bool:
    """Tell whether both locks name one model and one set of held-out rows."""
    before, after = locked(old), locked(new)
    return project.model in after and all(before.get(path) == after.get(path) for path in (project.model, project.rows))


def _obtain(project: Project, *, trusted: bool) -> bool:
    """Bring the model, its predictions and the held-out rows here; train what the remote can't give, and tell so.

    The run cache is left out: whoever can write to it can plant a model that no training made.
    """
    wanted = (project.model, project.rows, project.predictions)
    if trusted and stream(*dvc("pull", *wanted)) == 0:
        return False
    say("› training what is stale (dvc repro)")
    if stream(*dvc("repro", "--pull", "--allow-missing", "--no-run-cache")):
        raise Stop("the pipeline failed: the message of the stage is above")
    if not all(Path(path).exists() for path in wanted) and stream(*dvc("pull", *wanted)):
        say("› the data remote lacks them: training from the data")
        if stream(*dvc("repro", "--pull", "--no-run-cache")):
            raise Stop("the pipeline failed: the message of the stage is above; is the data itself in the data remote?")
    return True


def _gates(text: str | None) -> dict[str, Any]:
    """Read the metrics' gates; a malformed file is refused, since a gate that is not read does not block."""
    try:
        gates = yaml.safe_load(text or "")["metrics"]
        numbers = [number for gate in gates.values() for number in (gate or {}).values()]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise Stop(
            f"gates.yaml can't be read ({error}): it maps `metrics` to `name: {{floor: …, tolerance: …}}`"
        ) from None
    if not gates or not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise Stop("gates.yaml must name at least one metric, and its floors and tolerances must be numbers")
    return dict(gates)


def _compare(project: Project, base: str, old_lock: str | None, gates: dict[str, Any]) -> dict[str, Any]:
    """Score the challenger's rows with both models and judge; fall back to an unpaired table, and say why."""
    challenger = pd.read_parquet(project.predictions)
    try:
        champion, note = _champion(project, base, old_lock)
        rows = judge(champion, challenger, gates)
        state = "none" if champion is None else "paired"
    except Unpaired as unpaired:
        state, note = "unpaired", str(unpaired)
        rows = [
            _unpaired(row, json.loads(show(base, project.metrics) or "{}")) for row in judge(None, challenger, gates)
        ]
    return {
        "champion": {"state": state, "note": note},
        "metrics": [_finite(row) for row in rows],
        "rows": len(challenger),
    }


class Unpaired(Exception):
    """The champion can't be measured on the challenger's rows; the text says why."""


def _champion(project: Project, base: str, old_lock: str | None) -> tuple[pd.DataFrame | None, str]:
    """Let the champion's own code and model, checked out at `base`, score the challenger's held-out rows."""
    if project.model not in locked(old_lock):
        return None, "this is the first model: there is no champion to beat, only the floors of gates.yaml"
    say("› the champion scores the same rows")
    with TemporaryDirectory() as folder, _worktree(base, Path(folder, "champion")) as tree:
        pulled = attempt(*dvc("pull", project.model), cwd=tree)
        if pulled.returncode:
            raise Unpaired("the champion's model is not in the data remote")
        answer = Path(folder, "champion.parquet")
        settings = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["gitops"]
        words = [
            word.format(rows=Path(project.rows).resolve(), predictions=answer)
            for word in shlex.split(settings["score"])
        ]
        done = attempt(*_python(tree), *words[1:], cwd=tree, env=_environment(tree))
        if done.returncode:
            raise Unpaired(
                f"the champion can't score these rows ({(done.stderr.strip() or 'no message').splitlines()[-1]})"
            )
        champion, challenger = pd.read_parquet(answer), pd.read_parquet(project.predictions)
    if not champion[["id", "truth"]].equals(challenger[["id", "truth"]]):
        raise Unpaired("the champion reads the held-out rows' ids or targets in another way")
    return champion, ""


@contextmanager
def _worktree(commit: str, path: Path) -> Iterator[Path]:
    """Check a commit out beside the working tree, with this clone's DVC cache and data remote."""
    git("worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        local = f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n"
        if store.is_git():
            local += f"['remote \"store\"']\n    url = {store.MOUNT.resolve()}\n"
        (path / ".dvc/config.local").write_text(local)
        yield path
    finally:
        run("git", "worktree", "remove", "--force", str(path))


def _python(tree: Path) -> tuple[str, ...]:
    """Return the champion's interpreter: this one when both locked environments are the same, else one of its own."""
    if _text("uv.lock") == _text(str(tree / "uv.lock")):
        return (sys.executable,)
    say("› building the champion's environment: uv.lock differs")
    return ("uv", "run", "--quiet", "--locked", "--project", str(tree), "python")


def _environment(tree: Path) -> dict[str, str]:
    """The champion's package goes ahead of ours; its environment is not ours."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {
        "PYTHONPATH": str(tree / "src")
    }


def _unpaired(row: dict[str, Any], committed: dict[str, Any]) -> dict[str, Any]:
    """Put the champion's committed metric beside the challenger's."""
    champion = committed.get(row["name"])
    if not isinstance(champion, int | float) or not math.isfinite(champion):
        return row
    row |= {"champion": champion, "difference": (1 if row["more_is_better"] else -1) * (row["challenger"] - champion)}
    return row | decide(row)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _parameter_changes(old: str | None, new: str | None) -> list[dict[str, Any]]:
    """Return the parameters whose values differ, by dotted name."""
    before, after = (dict(_flatten(yaml.safe_load(text or "") or {})) for text in (old, new))
    names = sorted(before.keys() | after.keys())
    return [
        {"name": name, "champion": str(before.get(name, "–")), "challenger": str(after.get(name, "–"))}
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}{key}.")
    else:
        yield prefix[:-1], tree


def _data_changes(old: str | None, new: str | None) -> list[dict[str, Any]]:
    """Return the data versions when they differ."""
    before, after = ((yaml.safe_load(text or "") or {}).get("outs", [{}])[0] for text in (old, new))
    if before.get("md5") == after.get("md5"):
        return []
    sides = [f"{version.get('md5', '–')[:9]} ({version.get('size', 0):,} bytes)" for version in (before, after)]
    return [{"name": after.get("path", before.get("path")), "champion": sides[0], "challenger": sides[1]}]


def _write(result: dict[str, Any], out: Path) -> None:
    """Leave the facts for the jobs that follow, and the same report where people look."""
    out.mkdir(parents=True, exist_ok=True)
    text = report.render(result)
    (out / "review.json").write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    (out / "report.md").write_text(text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)
    say(text)
    say(f"Written: {out / 'report.md'}, {out / 'review.json'}")
