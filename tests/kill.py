"""`python kill.py WORDS COMMAND ...` runs `gitops COMMAND` and dies, as a machine does, before the step with WORDS."""

import os
import signal
import sys

from gitops import shell

said, words = shell.say, sys.argv.pop(1)


def say(text: str, *, error: bool = False) -> None:
    """Say it, unless it is the last word."""
    if words and text.startswith(words):
        os.kill(os.getpid(), signal.SIGKILL)
    said(text, error=error)


shell.say = say  # before anybody imports it

from gitops.__main__ import main  # noqa: E402

main()
