"""Run the tools that do the work, and stop with a sentence that a person can act on."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class Stop(Exception):
    """What went wrong and what to do about it, in one plain sentence."""


def say(text: str) -> None:
    """Tell what happens now; flushed, so that a log shows it before the work and not after."""
    print(text, flush=True)


def attempt(
    *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command on `text` without raising; the caller reads `returncode`, `stdout` and `stderr`."""
    return subprocess.run(argv, cwd=cwd, env=env, text=True, capture_output=True, input=text)


def run(*argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str = "") -> str:
    """Run a command on `text` and return what it printed, without the last line end.

    Raises:
        Stop: it failed; the sentence carries the end of what it said.
    """
    done = attempt(*argv, cwd=cwd, env=env, text=text)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Stop(f"`{' '.join(argv[:4])}` failed ({done.returncode}): {' '.join(words[-3:])}")
    return done.stdout.rstrip("\n")


def stream(*argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a command whose own progress people want to see; return its exit code."""
    sys.stdout.flush()
    return subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL).returncode


def watch(*argv: str, word: str) -> tuple[int, int]:
    """Run a command as `stream` does; return its exit code, and how many of its lines start with `word`."""
    found = 0
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as child:
        for line in child.stdout or ():
            found += line.startswith(word)
            print(line, end="", flush=True)
    return child.returncode, found


def dvc(*argv: str) -> tuple[str, ...]:
    """Return the command line of DVC in this environment, wherever PATH points."""
    return (sys.executable, "-m", "dvc", *argv)
