"""GitHub's REST API with the standard library: the privileged jobs that use it install nothing."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from gitops.shell import CommandError

PAGE = 100  # entries; the most that GitHub gives

HINTS = {
    401: "GITHUB_TOKEN is missing, wrong or expired",
    403: "the job's `permissions:` don't allow it, or the rate limit is used up",
    404: "it does not exist, or the token may not see it",
}


class Refused(CommandError):
    """GitHub said no; `status` is its HTTP code (0: it could not be reached)."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def available() -> bool:
    """Tell whether there is a GitHub to talk to: a workflow, or a laptop with both variables set."""
    return bool(os.environ.get("GITHUB_TOKEN") and os.environ.get("GITHUB_REPOSITORY"))


def call(method: str, path: str, body: Any = None, *, data: bytes | None = None, mime: str = "application/json") -> Any:
    """Send one request; `path` starts after `/repos/OWNER/NAME`, or is a whole URL that GitHub gave.

    Raises:
        Refused: GitHub answered with an error, or not at all.
    """
    content = data if body is None else json.dumps(body).encode()
    request = _request(method, path, content, {"Accept": "application/vnd.github+json", "Content-Type": mime})
    request.add_header("Authorization", f"Bearer {os.environ['GITHUB_TOKEN']}")
    return json.loads(_send(request, path) or b"null")


def download(path: str) -> bytes:
    """Return the content of a release's asset, `path` as in `call`.

    GitHub sends us on to another host, which must not see the token, and refuses a request that carries it.

    Raises:
        Refused: GitHub answered with an error, or not at all.
    """
    request = _request("GET", path, None, {"Accept": "application/octet-stream"})
    request.add_unredirected_header("Authorization", f"Bearer {os.environ['GITHUB_TOKEN']}")
    return _send(request, path)


def _request(method: str, path: str, data: bytes | None, headers: dict[str, str]) -> urllib.request.Request:
    if not available():
        raise CommandError("GITHUB_TOKEN and GITHUB_REPOSITORY (OWNER/NAME) are not both set: this talks to GitHub")
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    url = path if path.startswith("http") else f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    ours = {"User-Agent": "gitops", "X-GitHub-Api-Version": "2022-11-28"}
    return urllib.request.Request(url, data, headers | ours, method=method)  # noqa: S310 - GITHUB_API_URL's scheme


def _send(request: urllib.request.Request, path: str) -> bytes:
    method = request.get_method()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode(errors="replace")
        raise Refused(
            error.code, f"GitHub refused {method} {path} with {error.code} ({HINTS.get(error.code, said)})"
        ) from None
    except OSError as error:
        raise Refused(0, f"GitHub could not be reached for {method} {path} ({error}): run the job again") from None


def pages(path: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of all pages of a list."""
    number = 1
    while rows := call("GET", f"{path}{'&' if '?' in path else '?'}per_page={PAGE}&page={number}"):
        yield from rows
        if len(rows) < PAGE:
            return
        number += 1


def sticky_comment(number: int, marker: str, body: str) -> str:
    """Edit the one comment of a pull request or issue that carries the hidden marker, or post it; return its address.

    Only a bot's comment is edited: anybody can post the marker, and a stranger's comment is not ours.
    """
    hidden = f"<!-- {marker} -->"
    body = f"{hidden}\n{body}"
    for comment in pages(f"/issues/{number}/comments"):
        if comment["body"].startswith(hidden) and comment["user"]["type"] == "Bot":
            return str(call("PATCH", f"/issues/comments/{comment['id']}", {"body": body})["html_url"])
    return str(call("POST", f"/issues/{number}/comments", {"body": body})["html_url"])
