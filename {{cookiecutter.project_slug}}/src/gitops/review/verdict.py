"""What the two last jobs of a pull request do: write the comment, and be the one required check.

They hold the right to write and run the base's code, never the pull request's; what they read from the artifact is
data. Standard library only.
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitops import github
from gitops.markdown import code
from gitops.review import codec, owned, report
from gitops.review.record import FORMAT, Outcome, Review
from gitops.shell import CommandError, say

SIZE_LIMIT = 2**20  # bytes of a review.json that we are willing to read
FILES_LIMIT = 3000  # files of a pull request that GitHub lists, and no more


def write_comment(path: Path, number: int) -> int:
    """Render the review with this version's code and write it as the pull request's one comment."""
    say(f"Written: {github.sticky_comment(number, report.MARKER, _body(path, number))}")
    return 0


def print_verdict(path: Path, needs: str, pull_request: str = "") -> int:
    """Print the decision; 0 when the pull request may be merged, 1 when not.

    Args:
        path: the review.
        needs: the workflow's `toJSON(needs)`: job -> `result`; empty on a laptop.
        pull_request: its number, or the ref of a merge queue, which ends in `/pr-NUMBER-SHA`; empty on a laptop.

    Raises:
        CommandError: there is no review that can be read, or GitHub does not say what changes.
    """
    number = re.fullmatch(r"(?:.*/pr-)?(\d+)(?:-[0-9a-f]+)?", pull_request)
    if pull_request and not number:
        raise CommandError(f"{code(pull_request)} names no pull request: give a number or a ref of the merge queue")
    failed = [job for job, need in json.loads(needs or "{}").items() if need["result"] != "success"]
    for job in failed:
        say(f"⛔ the job `{job}` did not succeed: its log says why")
    try:
        review = read(path)
    except CommandError as error:
        if failed:  # the review died before it could write anything
            return 1
        raise error from None
    review = _warned(review, int(number[1])) if number else review
    found = review.conclusion
    say(("The review itself: " if failed else "") + " ".join(report.HEADLINES[found.verdict]))
    for line in (*found.reasons, *found.warnings, *found.notes):
        say(f"- {code(line).replace('##[', '## [')}")  # never a line that the runner takes for a command
    return int(bool(failed) or found.verdict is Outcome.BLOCKS)


def read(path: Path) -> Review:
    """Read a review that untrusted code may have written.

    Raises:
        CommandError: there is none, or it has not the form that this version knows.
    """
    unreadable = f"{path} is not a review that this version of the factory can read (format {FORMAT})"
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise CommandError(f"{path} is larger than a review can be")
        review = codec.loads(Review, path.read_text())
    except FileNotFoundError:
        raise CommandError(f"there is no review at {path}: run `uv run gitops review` first") from None
    except (codec.Malformed, UnicodeDecodeError) as error:
        raise CommandError(f"{unreadable}: {error}") from None
    if review.format != FORMAT:
        raise CommandError(f"{unreadable}: it has the format {review.format}")
    return review


def _warned(review: Review, number: int) -> Review:
    """Say first when the pull request changes what judges it: the review then is its own word, and never just passes.

    GitHub says which files change, since the review may not.
    """
    files = [row for entry in github.pages(f"/pulls/{number}/files") for row in _names(entry)]
    found = owned.in_pull_request(number, files)
    if not found and len(files) < FILES_LIMIT:
        return review
    told = ", ".join(
        [*found[:2], *([f"{len(found) - 2} more"] if len(found) > 2 else [])] or ["too many files to list"]
    )
    sentence = f"a code owner must look, this pull request changes what judges it: {told}"
    before = review.conclusion
    outcome = Outcome.WARNS if before.verdict is Outcome.PASSES else before.verdict
    return replace(review, conclusion=replace(before, verdict=outcome, warnings=(sentence, *before.warnings)))


def _names(entry: dict[str, Any]) -> list[str]:
    """Return the path of a changed file; of a renamed one also the path that it had."""
    return [entry[key] for key in ("filename", "previous_filename") if entry.get(key)]


def _body(path: Path, number: int) -> str:
    """The report; where there is none, or one of another version of the factory, a pointer to the run."""
    run = "/".join(os.environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY")) + "/actions/runs/"
    link = f"[this run]({run}{os.environ.get('GITHUB_RUN_ID', '')})"
    if not path.exists():
        return f"⛔ **No review**: it failed before it had a result. The log of {link} says why.\n"
    try:
        return f"{report.render(_warned(read(path), number))}\n<sub>Everything about it: {link}</sub>\n"
    except CommandError as error:
        return f"⛔ **No review**: {code(error)}. Its summary is in {link}.\n"
