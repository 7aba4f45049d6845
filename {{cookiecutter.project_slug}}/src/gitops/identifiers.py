"""The forms of what tags, branches and release files name: checked before they reach a command line or path."""

import re

from gitops.shell import CommandError

_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_HOST = r"(?:\[[0-9a-f:]+\]|[a-z0-9][a-z0-9.-]*)(?::[0-9]{1,5})?"
VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MD5 = re.compile(r"[0-9a-f]{32}")
STORED = re.compile(rf"{MD5.pattern}(?:\.dir)?")  # DVC's name of a file, or of the list of a folder's files
IMAGE = re.compile(rf"{_HOST}(?:/[a-z0-9][a-z0-9._-]*)+@sha256:[0-9a-f]{{64}}")
SHOWN = 60  # characters of a wrong text that a sentence quotes


def version(text: object, where: str) -> str:
    """Return a version such as `1.2.0`; `where` says in the sentence who named it.

    Raises:
        CommandError: it is none.
    """
    return _of_form(VERSION, text, where, "a version like 1.2.0")


def commit(text: object, where: str) -> str:
    """Return a commit's full name, as `version` does."""
    return _of_form(COMMIT, text, where, "a commit (40 hexadecimal digits)")


def sha256(text: object, where: str) -> str:
    """Return a SHA-256 in hexadecimal digits, as `version` does."""
    return _of_form(SHA256, text, where, "a SHA-256 (64 hexadecimal digits)")


def md5(text: object, where: str) -> str:
    """Return an MD5 in hexadecimal digits, as `version` does."""
    return _of_form(MD5, text, where, "an MD5 (32 hexadecimal digits)")


def image(text: object, where: str) -> str:
    """Return an image by its digest, as `version` does."""
    return _of_form(IMAGE, text, where, "an image by digest (repository@sha256:64 hexadecimal digits)")


def one_line(text: str, longest: int = 500) -> str:
    """Return a person's text as one line for a commit message or a terminal, without control characters.

    A line end in it would add a trailer of its own to a commit.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


def _of_form(form: re.Pattern[str], text: object, where: str, what: str) -> str:
    if isinstance(text, str) and form.fullmatch(text):
        return text
    raise CommandError(f"{where} names {str(text)[:SHOWN]!r}, which is not {what}: it was not written by a release")
