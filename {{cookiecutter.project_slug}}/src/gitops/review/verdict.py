"""What the two last jobs of a pull request do: write the comment, and be the one required check.

They run the base's code, never the pull request's, and believe the assessment that the base's code made; what the pull
request's own job says of itself can only speak against it. Standard library only.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from gitops import github
from gitops.markdown import code
from gitops.review import codec, report
from gitops.review.conclude import review_of
from gitops.review.record import FORMAT, Outcome, Review
from gitops.shell import CommandError, say

SIZE_LIMIT = 2**20  # bytes of a review.json that we are willing to read


@dataclass(frozen=True)
class Sources:
    """Where the facts are.

    Attributes:
        review: what the pull request's own job wrote, or a laptop.
        assessment: what the base's code wrote; None on a laptop, where nobody cheats.
        sha256: of the assessment, which the job that made it handed on by itself; "" where it made none.
    """

    review: Path
    assessment: Path | None = None
    sha256: str = ""


def write_comment(sources: Sources, number: int) -> int:
    """Render the review with this version's code and write it as the pull request's one comment."""
    say(f"Written: {github.sticky_comment(number, report.MARKER, _body(sources))}")
    return 0


def print_verdict(sources: Sources, needs: str) -> int:
    """Print the decision; 0 when the pull request may be merged, 1 when not.

    Args:
        sources: where the facts are.
        needs: the workflow's `toJSON(needs)`: job -> `result`; empty on a laptop.

    Raises:
        CommandError: there is no review that can be read, or no assessment where there must be one.
    """
    failed = [job for job, need in json.loads(needs or "{}").items() if need["result"] != "success"]
    for job in failed:
        say(f"⛔ the job `{job}` did not succeed: its log says why")
    try:
        review = combined(sources)
    except CommandError as error:
        if failed:  # the job died before it could write anything
            return 1
        raise error from None
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(report.render(review))
    say(("The review itself: " if failed else "") + " ".join(report.HEADLINES[review.verdict]))
    for line in (*review.reasons, *review.warnings, *review.notes):
        say(f"- {code(line).replace('##[', '## [')}")  # never a line that the runner takes for a command
    return int(bool(failed) or review.verdict is Outcome.BLOCKS)


def combined(sources: Sources) -> Review:
    """Return the base's assessment where it could judge the model, else the pull request's own review, marked as such.

    A review that blocks is shown too: its author gains nothing by a lie, and it alone has trained what is stale.

    Raises:
        CommandError: one of them is missing or unreadable.
    """
    own = read(sources.review)
    if sources.assessment is None:
        return own
    base = read(sources.assessment, sources.sha256)
    if own.verdict is not Outcome.BLOCKS and not base.facts.unjudged:
        return base
    shown = replace(own.facts, changes=base.facts.changes, base=base.facts.base, unjudged=base.facts.unjudged)
    found = review_of(shown)
    if reasons := tuple(dict.fromkeys((*found.reasons, *own.reasons, *base.reasons))):
        return replace(found, verdict=Outcome.BLOCKS, reasons=reasons)
    return found


def read(path: Path, sha256: str | None = None) -> Review:
    """Read a review that untrusted code may have written; one whose SHA-256 is given must have it.

    Raises:
        CommandError: there is none, or it has not the form that this version knows, or it was replaced.
    """
    unreadable = f"{path} is not a review that this version of the factory can read (format {FORMAT})"
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise CommandError(f"{path} is larger than a review can be")
        content = path.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise CommandError(f"{path} is not what the job wrote that judged the model: somebody replaced it")
        review = codec.loads(Review, content.decode())
    except FileNotFoundError:
        raise CommandError(f"there is no review at {path}: run `uv run gitops review` first") from None
    except (codec.Malformed, UnicodeDecodeError) as error:
        raise CommandError(f"{unreadable}: {error}") from None
    if review.format != FORMAT:
        raise CommandError(f"{unreadable}: it has the format {review.format}")
    return review


def _body(sources: Sources) -> str:
    """The report; where there is none, or one of another version of the factory, a pointer to the run."""
    run = "/".join(os.environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY")) + "/actions/runs/"
    link = f"[this run]({run}{os.environ.get('GITHUB_RUN_ID', '')})"
    if not sources.review.exists():
        return f"⛔ **No review**: it failed before it had a result. The log of {link} says why.\n"
    try:
        return f"{report.render(combined(sources))}\n<sub>Everything about it: {link}</sub>\n"
    except CommandError as error:
        return f"⛔ **No review**: {code(error)}. Its summary is in {link}.\n"
