"""`model score --release`: the release's own code, settings and model, in the environment that its uv.lock names."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from serving.rows.errors import ModelError

PROJECT, LOCK = Path("pyproject.toml"), Path("uv.lock")
# names of variables that a release's code does not get; AWS_* opens IN and OUT
SECRET = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|_KEY(S|_ID)?$|^ACTIONS_(CACHE|ID|RESULTS|RUNTIME)_", re.IGNORECASE)


def score_with(release: str, options: dict[str, Any]) -> None:
    """Bring a release into a folder, and run its own `model score` with the same options there.

    Args:
        release: a version, or an environment that runs one.
        options: of the command, without `release`.

    Raises:
        ModelError: the release can't be had, or is not what it was; or its own command failed, and has said why.
    """
    with TemporaryDirectory() as folder:
        tree = Path(folder, "release")
        places = {"release": release, "folder": tree}
        fetch = [word.format_map(places) for word in shlex.split(_command())]
        if subprocess.run([sys.executable, *fetch[1:]]).returncode:
            raise ModelError(f"nothing was scored, for there is no release {release!r} to score with: see above")
        env = {name: value for name, value in os.environ.items() if not _secret(name) and name != "VIRTUAL_ENV"}
        env["PYTHONPATH"] = str(tree / "src")
        # -P: nothing of the folder that this is run from gets ahead of the release's packages
        words = [*_python(tree), "-P", "-m", "model", "score", *_words(options)]
        with subprocess.Popen(words, cwd=tree, env=env) as scoring:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it gets Ctrl-C too, and says how to go on
            code = scoring.wait()
            signal.signal(signal.SIGINT, before)
    if code:
        raise ModelError(f"{release} did not score these rows: the release itself says why above")


def _secret(variable: str) -> bool:
    return not variable.startswith("AWS_") and SECRET.search(variable) is not None


def _command() -> str:
    """Return the command that brings a release here.

    Raises:
        ModelError: pyproject.toml names none.
    """
    try:
        settings = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
        return str(settings["tool"]["serving"]["release"])
    except (FileNotFoundError, KeyError, tomllib.TOMLDecodeError):
        raise ModelError(
            f"{PROJECT} has no `release` under [tool.serving], the command that brings one here: run this from the "
            "root of the project, or compare with docs/contract.md"
        ) from None


def _python(tree: Path) -> tuple[str, ...]:
    """Return the interpreter with the release's packages: this one, or one of an environment that is made now."""
    locks = [path.read_bytes() if path.exists() else None for path in (LOCK, tree / LOCK)]
    if locks[0] == locks[1]:
        return (sys.executable,)
    print("making the release's environment, whose packages are others than this checkout's", file=sys.stderr)
    return ("uv", "run", "--quiet", "--locked", "--project", str(tree), "python")


def _words(options: dict[str, Any]) -> Iterator[str]:
    """Yield the command line of options; paths are those of this folder, wherever the command runs."""
    for name, value in options.items():
        if name in ("source", "out"):
            continue
        if value is True:
            yield f"--{name}"
        elif value not in (None, False):
            name = {"digits": "round"}.get(name, name.replace("_", "-"))
            yield f"--{name}={value.absolute() if isinstance(value, Path) else value}"
    yield "--"
    for name in ("source", "out"):
        where = str(options[name])
        yield where if "://" in where else str(Path(where).absolute())
