"""The one exception for a mistake in the input, and how a command ends with it."""

import contextlib
import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class ModelError(Exception):
    """What is wrong and how to mend it, in one plain sentence."""


def cause(error: Exception) -> str:
    """Return the beginning of another library's error, on one line, for the end of such a sentence."""
    return "".join(c for c in " ".join(str(error).split())[:300] if c.isprintable())


class _Unbroken(io.FileIO):
    """A file that takes all that is written, and drops it where nobody reads any more (`| head`)."""

    def write(self, data: "Buffer") -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def keep_going() -> None:
    """Let no output end the program: neither a reader who has left, nor a letter that the terminal has not."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(OSError):  # a test's stream, which has no number
            raw = io.BufferedWriter(_Unbroken(stream.fileno(), "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=True))


def run_stage(stage: Callable[[], None]) -> None:
    """Run a command; a mistake in the input ends with one sentence and exit code 2."""
    keep_going()
    try:
        stage()
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
