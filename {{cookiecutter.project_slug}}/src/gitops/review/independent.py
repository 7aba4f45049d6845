"""Judge the model of another commit by what is checked out here: its code, its gates, and its split of the data.

Nothing of the other commit is run. Its lock, its parameters and its predictions are read, and its model file is data:
ONNX, whose hash is the one in that commit's lock. So a pull request can't say of itself how good it is: the verdict
believes this assessment, which is made where none of the pull request's code runs, and not the review of its own job.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gitops import description, gates, identifiers, pipeline, store
from gitops.git import git, paths
from gitops.project import Project, load, md5
from gitops.release import bento
from gitops.review import codec, owned, report, state
from gitops.review.assess import Assignment, Obtained, begin, compared, same_model
from gitops.review.baseline import champion_commit
from gitops.review.changes import changes_since
from gitops.review.conclude import review_of
from gitops.review.record import Facts, LockState, Review
from gitops.review.state import CommitState
from gitops.shell import CommandError, attempt, dvc, run, say, stream, without_secrets

DATA_FORMATS = {"onnx": b"\x08"}  # model files that run no code when they are opened, and the byte that they start with
FILE = "assessment.json"
NOT_HERE = LockState()  # whether the lock is fresh is the pull request's own job to find out: it can only block itself


class Unjudged(Exception):
    """What is checked out here can't judge the other commit's model; the text says why."""


def assess_commit(commit: str, out: Path) -> int:
    """Assess a commit's model against what is checked out here, and write `assessment.json` into `out`.

    A blocked model is an answer and not a failure, as in a review.

    Raises:
        CommandError: a file of either commit is not of its format, or origin can't be reached.
    """
    project, base = load(), git("rev-parse", "HEAD")
    commit = identifiers.commit(commit, "the command line")
    before, now = state.of_commit(base, project), state.of_commit(commit, project)
    if before.gates is None:
        raise CommandError("the base has no gates.yaml, by which its code owners say what a model must reach")
    checked = gates.read(before.gates)
    champion, where = champion_commit(base, checked)
    given = Assignment(
        project=project,
        commit=commit,
        base=before,
        champion=before if champion == base else state.of_commit(champion, project),
        where=where,
        challenger=now,
        gates=checked,
        lock=NOT_HERE,
    )
    store.pull()
    facts = begin(given, changes_since(before, now, project))
    if not same_model(project, given.champion, now):
        try:
            facts = _judged(given, facts)
        except Unjudged as reason:
            say(f"› the base can't score this model: {reason}")
            facts = replace(facts, unjudged=str(reason))
    _write(review_of(facts), out)
    return 0


def _judged(given: Assignment, facts: Facts) -> Facts:
    """Return the facts with what both models make of the rows that the base holds out.

    Raises:
        Unjudged: the base's code can't score the model.
    """
    project, now = given.project, given.challenger
    _check_rows(project, given.base, now)
    with _standing_on(given.base.revision):
        known = _data(project, given.base, now)
        _hold_out(project, given.base, now)
        known |= {path: now.outputs.get(path, "") for path in (project.model, project.predictions)}
        if absent := _bring(known, now.lock):
            return replace(facts, lock=LockState(missing=tuple(absent)))
        _check_format(project, given.base, now)
        from gitops.review.compare import Unscorable  # pandas: slow to import, and most pull requests change no model

        if now.description:
            Path(project.description).write_text(now.description)
        try:
            return compared(given, facts, Obtained())
        except Unscorable as error:
            raise Unjudged(str(error)) from None


def _check_rows(project: Project, base: CommitState, now: CommitState) -> None:
    """Check that the service that this model would run in is the base's, so that the base's code scores as it does.

    Raises:
        Unjudged: what a row is changes, or the code that scores it, or where the factory finds them.
    """
    changed = set(paths("diff", "--name-only", "--no-renames", "--end-of-options", base.revision, now.revision))
    if rows := sorted(changed & {*project.bento.files} - {project.model, *owned.PLAIN}):
        raise Unjudged(f"what a row is changes with {', '.join(rows)}")
    if code := sorted(changed & bento.code(project, ())):
        raise Unjudged(f"the code that scores rows changes: {', '.join(code[:3])}")
    if now.settings != base.settings:
        raise Unjudged("[tool.gitops] of pyproject.toml changes")


def _check_format(project: Project, base: CommitState, now: CommitState) -> None:
    """Check that opening the model file runs no code, by what it is and not only by what it is called.

    A file that no description names is of an unknown format.

    Raises:
        Unjudged: it may.
    """
    texts = [one.description for one in (base, now) if one.description]
    names = {description.read(text, project.description).model.file_format for text in texts} or {"unknown"}
    with Path(project.model).open("rb") as file:
        start = file.read(1)
    if odd := sorted(name for name in names if DATA_FORMATS.get(name) != start):
        raise Unjudged(f"a model file of the format {odd[0]} may run code when it is opened, and an ONNX file does not")


@contextmanager
def _standing_on(base: str) -> Iterator[None]:
    """Work in a checkout of the base of its own, with this clone's DVC cache and data remote."""
    with TemporaryDirectory() as folder:
        tree = Path(folder, "base")
        git("worktree", "add", "--quiet", "--detach", "--end-of-options", str(tree), base)
        try:
            for path in (Path(".dvc/cache"), store.MOUNT):
                if path.exists():
                    (tree / path).symlink_to(path.resolve(), target_is_directory=True)
            with chdir(tree):
                yield
        finally:
            run("git", "worktree", "remove", "--force", str(tree))


def _data(project: Project, base: CommitState, now: CommitState) -> dict[str, str]:
    """Name the other commit's data version in this tree; return path -> MD5 where it is another than the base's."""
    if now.data is None or now.data == base.data:
        return {}
    digest = identifiers.md5(now.data.md5, f"{project.data}.dvc")
    # written anew: whatever else that file says (a path, an address to import from) is the pull request's
    pointer = f"outs:\n- md5: {digest}\n  size: {now.data.size}\n  hash: md5\n  path: {Path(project.data).name}\n"
    Path(f"{project.data}.dvc").write_text(pointer)
    return {project.data: digest}


def _hold_out(project: Project, base: CommitState, now: CommitState) -> None:
    """Put the rows that the base's own split makes of the data in their place.

    Raises:
        Unjudged: its code can't read this data.
    """
    same = now.data is None or now.data == base.data
    if same and project.rows in base.outputs and not _bring({project.rows: base.outputs[project.rows]}, base.lock):
        return
    say("› the base's code splits the data")
    makers = [stage.name for stage in pipeline.read().stages if project.rows in {out.path for out in stage.outs}]
    env = without_secrets(bucket=not store.is_git()) | {"PYTHONPATH": str(Path("src").resolve())}
    if not makers or stream(*dvc("repro", "--pull", "--allow-missing", "--no-run-cache", *makers), env=env):
        raise Unjudged("its code can't make the held-out rows of this data")


def _bring(known: dict[str, str], lock: str | None) -> list[str]:
    """Bring files of these MD5s from the data remote; return the paths of those that it lacks.

    `lock`: the dvc.lock that names them; only what the base's pipeline knows is brought, and only to where it puts it.
    """
    digests = {path: identifiers.md5(digest, f"dvc.lock, {path}") for path, digest in known.items() if digest}
    absent = [path for path, digest in digests.items() if not store.copy(digest, Path(path))]
    if absent and not store.is_git():
        kept = Path("dvc.lock").read_bytes() if Path("dvc.lock").exists() else None
        Path("dvc.lock").write_text(lock or "")
        attempt(*dvc("pull", *absent))
        Path("dvc.lock").unlink() if kept is None else Path("dvc.lock").write_bytes(kept)
        absent = [path for path in absent if not Path(path).is_file() or md5(Path(path)) != digests[path]]
    return [*(path for path, digest in known.items() if not digest), *absent]


def _write(review: Review, out: Path) -> None:
    """Leave the facts for the jobs that follow, and the report of them in the run's log."""
    out.mkdir(parents=True, exist_ok=True)
    text = codec.dumps(review)
    (out / FILE).write_text(text)
    if path := os.environ.get("GITHUB_OUTPUT"):  # a job's outputs are its own, while any job may replace an artifact
        with Path(path).open("a") as file:
            file.write(f"sha256={hashlib.sha256(text.encode()).hexdigest()}\n")
    say(report.render(report.without_charts(review)))
    say(f"Written: {out / FILE}")
