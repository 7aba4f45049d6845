"""The one exception for a mistake in the input, and how a command ends with it."""

import sys
from collections.abc import Callable


class ModelError(Exception):
    """What is wrong and how to mend it, in one plain sentence."""


def cause(error: Exception) -> str:
    """Return the beginning of another library's error, on one line, for the end of such a sentence."""
    return "".join(c for c in " ".join(str(error).split())[:300] if c.isprintable())


def run_stage(stage: Callable[[], None]) -> None:
    """Run a command; a mistake in the input ends with one sentence and exit code 2."""
    try:
        stage()
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
