"""Run the tools that do the work, and stop with a sentence that a person can act on."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

# names of variables that hold what must not reach a model's code
SECRET = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|_KEY(S|_ID)?$|^ACTIONS_(CACHE|ID|RESULTS|RUNTIME)_", re.IGNORECASE)
CLOUD = re.compile(r"^(AWS|AZURE|GOOGLE)_")  # a data remote in a bucket needs these


class CommandError(Exception):
    """What went wrong and what to do about it, in one plain sentence."""


def say(text: str, *, error: bool = False) -> None:
    """Tell what happens now; flushed, so that a log shows it before the work and not after.

    Where nobody reads any more (`| head`) or the disk is full, the rest is dropped: the work goes on to its end.
    """
    _write(sys.stderr if error else sys.stdout, f"{text}\n")


@contextmanager
def output() -> Iterator[None]:
    """Let no output end the program: neither a letter that the terminal has not, nor a reader who has left."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            _write(stream, "")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - what is in the buffer goes there too
            os.dup2(nowhere.fileno(), stream.fileno())


def without_secrets(*, bucket: bool = False) -> dict[str, str]:
    """Return the environment for a command that runs a model's code: training, scoring, the build of a release.

    `bucket`: it brings data from a bucket too, and keeps what that needs. Code that means harm, and runs as the same
    user on the same machine, can find other ways to a token: so jobs with rights run none of a pull request's.
    """
    kept = {name for name in os.environ if bucket and CLOUD.search(name)}
    return {name: value for name, value in os.environ.items() if name in kept or not SECRET.search(name)}


def attempt(
    *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command on `text` without raising; the caller reads `returncode`, `stdout` and `stderr`."""
    return subprocess.run(argv, cwd=cwd, env=env, encoding="utf-8", errors="replace", capture_output=True, input=text)


def run(*argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str = "") -> str:
    """Run a command on `text` and return what it printed, without the last line end.

    Raises:
        CommandError: it failed; the sentence carries the end of what it said.
    """
    done = attempt(*argv, cwd=cwd, env=env, text=text)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise CommandError(f"`{' '.join(argv[:4])}` failed ({done.returncode}): {' '.join(words[-3:])}")
    return done.stdout.rstrip("\n")


def stream(*argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a command whose own progress people want to see; return its exit code.

    Its output passes through here, unless it goes to a terminal: a reader who has left must not end the command.
    """
    sys.stdout.flush()
    targets = [None if target.isatty() else target for target in (sys.stdout, sys.stderr)]
    pipes = [subprocess.PIPE if target else None for target in targets]
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=pipes[0],
        stderr=pipes[1],
        encoding="utf-8",
        errors="replace",
    )
    with process, ThreadPoolExecutor(2) as pool:
        for source, target in zip((process.stdout, process.stderr), targets, strict=True):
            if source and target:
                pool.submit(_pass_on, source, target)
    return process.returncode


def _pass_on(source: IO[str], target: TextIO) -> None:
    for line in source:
        _write(target, line)


def watch(*argv: str, word: str, env: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Run a command as `stream` does; return its exit code, and how many of its lines start with `word`."""
    found = 0
    kinds: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env=env, errors="replace", **kinds) as child:
        for line in child.stdout or ():
            found += line.startswith(word)
            print(line, end="", flush=True)
    return child.returncode, found


def dvc(*argv: str) -> tuple[str, ...]:
    """Return the command line of DVC in this environment, wherever PATH points."""
    return (sys.executable, "-m", "dvc", *argv)
