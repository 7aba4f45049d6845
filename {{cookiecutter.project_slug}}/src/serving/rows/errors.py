"""The one exception for a mistake in the input, and how a command ends with it."""

import io
import sys
from collections.abc import Callable
from typing import Any


class ModelError(Exception):
    """What is wrong and how to mend it, in one plain sentence."""


def cause(error: Exception) -> str:
    """Return the beginning of another library's error, on one line, for the end of such a sentence."""
    return "".join(c for c in " ".join(str(error).split())[:300] if c.isprintable())


class _Output(io.FileIO):
    """A standard stream that drops what nobody reads any more, as after `| head`: the command goes on to its end."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return len(content)


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    output = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        output,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def run_stage(stage: Callable[[], None]) -> None:
    """Run a command; a mistake in the input ends with one sentence and exit code 2."""
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _lasting(stream))
    try:
        stage()
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
