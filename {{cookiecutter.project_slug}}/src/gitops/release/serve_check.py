"""Open the model file where it will be served, before it is merged and before it is released.

What a service has is less than what training has: the locked `serve` group and the files of the release. The project's
own probe command scores held-out rows there.
"""

import json
import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gitops import description
from gitops.document import clean
from gitops.git import git, show
from gitops.project import Project, locked, md5
from gitops.release import bento
from gitops.shell import CommandError, attempt, dvc, say, stream

ENVIRONMENT = Path(".venv-serve")  # kept: a second check finds it ready
SYNC = ("uv", "sync", "--locked", "--quiet", "--only-group", "serve", "--no-install-project")
# All that a probe gets of this process's variables: none of them holds a secret.
HANDED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")


def faults(project: Project, base: str) -> list[str]:
    """Return why the model in the working tree can't be served, as a list of at most one sentence.

    Nothing is tried where a release would hold what one of the commit `base` holds.
    """
    try:
        if not _differs(project, base):
            return []
        _bring(project)
        check(project)
    except CommandError as error:
        return [str(error)]
    return []


def check(project: Project) -> None:
    """Score held-out rows with the release's files and the `serve` group alone, and compare with the predictions.

    The model file, the rows and the predictions are here, as dvc.lock names them.

    Raises:
        CommandError: the environment can't be made, the probe fails, or its scores are others than the reviewed ones.
    """
    from gitops.release import sample  # pandas: slow to import, and most pull requests change no model

    say("› opening the model with the `serve` group alone")
    scores = _probe(project, sample.records(project, description.load(project)))
    if wrong := sample.differences(project, "the service's code with the `serve` group alone", scores):
        raise CommandError(f"{wrong}: callers would get other scores than the review saw")


def _probe(project: Project, records: list[dict[str, Any]]) -> Any:
    """Return what the probe command leaves for these records, where there is nothing but what a service has.

    Raises:
        CommandError: it fails, or leaves no JSON.
    """
    with TemporaryDirectory() as folder:
        release, rows, scores = Path(folder, "release"), Path(folder, "records.json"), Path(folder, "scores.json")
        bento.lay_out(project, release)
        rows.write_text(json.dumps(records))
        words = [word.format_map({"records": rows, "scores": scores}) for word in shlex.split(project.probe)]
        own = {"PYTHONPATH": str(release), "PYTHONNOUSERSITE": "1", "BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "1"}
        env = {name: os.environ[name] for name in HANDED_ON if name in os.environ} | own
        done = attempt(str(_environment() / "bin/python"), *words[1:], cwd=release, env=env)
        if done.returncode:
            say(done.stderr.rstrip())
            cure = "add what it lacks to that group, or to the files of [tool.gitops.bento]"
            raise CommandError(f"the `serve` group alone can't serve the model: {_last_line(done.stderr)!r}: {cure}")
        try:
            return json.loads(scores.read_text())
        except (OSError, ValueError):
            raise CommandError(
                f"`{project.probe}` leaves no JSON list of scores where docs/contract.md asks for it"
            ) from None


def _last_line(said: str) -> str:
    return clean((said.strip() or "nothing").splitlines()[-1])


def _differs(project: Project, base: str) -> bool:
    """Tell whether a release would hold another model, other files, or (maybe) other packages than one of `base`."""
    locks = (show(base, "dvc.lock"), Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None)
    before, after = (locked(lock).get(project.model) for lock in locks)
    if before != after:
        return True
    names = sorted({*bento.contents(project), project.description, "pyproject.toml", "uv.lock"} - {project.model})
    return bool(git("diff", "--name-only", base, "--", *names) or git("ls-files", "--others", "--", *names))


def _bring(project: Project) -> None:
    """Pull what the check needs, where it is not here already.

    Raises:
        CommandError: the data remote lacks it.
    """
    known = locked(Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None)
    wanted = (project.model, project.rows, project.predictions)
    far = [name for name in wanted if not Path(name).is_file() or md5(Path(name)) != known.get(name)]
    if far and stream(*dvc("pull", *far)):
        raise CommandError(f"{', '.join(far)} can't be pulled, so nobody knows whether the model can be served")


def _environment() -> Path:
    """Return an environment of exactly the locked `serve` group; a second after the first time."""
    path = ENVIRONMENT.resolve()
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = attempt(*SYNC, env=env | {"UV_PROJECT_ENVIRONMENT": str(path)})
    if done.returncode:
        raise CommandError(f"the `serve` group can't be installed alone: uv says {_last_line(done.stderr)!r}")
    return path
