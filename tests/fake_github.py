"""GitHub's REST API in memory, as far as a model repository uses it: it keeps state and refuses what GitHub refuses."""

import base64
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fake_releases
from fake_server import Account, Answer, Call, Refused, Row, Server, find

LONGEST = 65536  # characters of a comment


class FakeGitHub(Server):
    """One repository's API; Git's side of it is the bare repository `root/OWNER/NAME.git`."""

    def __init__(self, root: Path, repository: str = "acme/churn-model", *, immutable: bool = False) -> None:
        super().__init__(root)
        self.repository, self.immutable, self.last = repository, immutable, 100
        self.comments: list[Row] = []
        self.pulls: list[Row] = []
        self.issues: list[Row] = []
        self.labels: list[Row] = []
        self.releases: list[Row] = []
        self.log: list[Call] = []
        self.faults: list[list[Any]] = []

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Answer the next `times` calls whose method and path (a regular expression) match with this status."""
        self.faults.append([method, path, status, times])

    def calls(self, method: str) -> list[str]:
        """Return the paths that were called with this method."""
        return [call.path for call in self.log if call.method == method]

    def answer(self, call: Call) -> Answer:
        """Find the route, and refuse what the token may not do."""
        self.log.append(call)
        for fault in self.faults:
            if fault[3] and fault[0] == call.method and re.search(fault[1], call.path):
                fault[3] -= 1
                return fault[2], {"message": "planted by a test"}, {}
        path = call.path.removeprefix(f"/repos/{self.repository}")
        for method, pattern, route in ROUTES:
            if path != call.path and method == call.method and (match := re.fullmatch(pattern, path)):
                try:
                    if method != "GET" and not call.account.writes:
                        raise Refused(403, "Resource not accessible by integration")
                    return route(self, call, *match.groups())
                except Refused as refused:
                    return refused.answer
        return 404, {"message": "Not Found", "status": "404"}, {}

    def git(self, *argv: str, text: str = "") -> str | None:
        """Run Git in the bare repository; None when it fails."""
        done = subprocess.run(
            ["git", *argv], cwd=self.root / f"{self.repository}.git", input=text, text=True, capture_output=True
        )
        return None if done.returncode else done.stdout.strip()

    def new(self, kind: str, **row: Any) -> Row:
        """Number a row and give it its addresses."""
        self.last += 1
        return {"id": self.last, "url": f"{self.url}/repos/{self.repository}/{kind}/{self.last}"} | row

    def page(self, call: Call, rows: list[Row]) -> Answer:
        """Cut a list as GitHub does: 30 rows a page unless asked, 100 at most, the next page in the Link header."""
        size, number = min(int(call.query.get("per_page", 30)), 100), int(call.query.get("page", 1))
        more = rows[size * number :]
        link = f'<{self.url}{call.path}?per_page={size}&page={number + 1}>; rel="next"'
        return 200, rows[size * (number - 1) : size * number], {"Link": link} if more else {}

    def comment(self, number: int, body: str, account: Account) -> Row:
        """Write a comment, as a test does for a stranger."""
        if len(body) > LONGEST:
            message = f"Body is too long (maximum is {LONGEST} characters)"
            raise Refused(
                422, "Validation Failed", resource="IssueComment", code="unprocessable", field="data", message=message
            )
        row = self.new("issues/comments", body=body, user={"login": account.login, "type": account.kind})
        row |= {"issue": number, "html_url": f"{self.url}/{self.repository}/pull/{number}#issuecomment-{row['id']}"}
        self.comments.append(row)
        return row


def list_comments(hub: FakeGitHub, call: Call, number: str) -> Answer:
    return hub.page(call, [row for row in hub.comments if row["issue"] == int(number)])


def add_comment(hub: FakeGitHub, call: Call, number: str) -> Answer:
    return 201, hub.comment(int(number), call.body["body"], call.account), {}


def edit_comment(hub: FakeGitHub, call: Call, number: str) -> Answer:
    row = find(hub.comments, id=int(number))
    row["body"] = call.body["body"]
    return 200, row, {}


def get_pull(hub: FakeGitHub, _: Call, number: str) -> Answer:
    return 200, find(hub.pulls, number=int(number)), {}


def list_files(hub: FakeGitHub, call: Call, number: str) -> Answer:
    """What the pull request's head changes since it left its base; no more than 3,000 files."""
    pull, names = find(hub.pulls, number=int(number)), {"A": "added", "M": "modified", "D": "removed", "R": "renamed"}
    found = hub.git("diff", "--name-status", "-M", "-z", f"{pull['base']['sha']}...{pull['head']['sha']}")
    rows, words = [], iter((found or "").split("\0")[:-1])
    for status in words:
        old = {"previous_filename": next(words)} if status[0] == "R" else {}
        rows.append({"filename": next(words), "status": names[status[0]]} | old)
    return hub.page(call, rows[:3000])


def get_content(hub: FakeGitHub, call: Call, path: str) -> Answer:
    """A file at a commit, branch or tag: raw where that is asked for, else as Base64, which ends at 1 MB."""
    blob = hub.git("rev-parse", "--verify", f"{call.query.get('ref', 'HEAD')}:{unquote(path)}")
    if blob is None or hub.git("cat-file", "-t", blob) != "blob":
        raise Refused(404, "Not Found")
    raw = subprocess.run(
        ["git", "cat-file", "blob", blob], cwd=hub.root / f"{hub.repository}.git", capture_output=True, check=True
    ).stdout
    if "raw" in (call.accept or ""):
        return 200, raw, {}
    small = len(raw) <= 2**20
    row = {
        "type": "file",
        "path": unquote(path),
        "sha": blob,
        "size": len(raw),
        "encoding": "base64" if small else "none",
    }
    return 200, row | {"content": base64.encodebytes(raw).decode() if small else ""}, {}


def pulls_of_commit(hub: FakeGitHub, call: Call, sha: str) -> Answer:
    return hub.page(call, [row for row in hub.pulls if sha in (row["merge_commit_sha"], row["head"]["sha"])])


def list_issues(hub: FakeGitHub, call: Call) -> Answer:
    """Every pull request is an issue too, and is listed as one."""
    state, labels = call.query.get("state", "open"), set(filter(None, call.query.get("labels", "").split(",")))
    rows = hub.issues + [pull | {"pull_request": {}} for pull in hub.pulls]
    named = [row for row in rows if labels <= {label["name"] for label in row["labels"]}]
    return hub.page(call, [row for row in named if state in ("all", row["state"])])


def add_issue(hub: FakeGitHub, call: Call) -> Answer:
    labels = [{"name": name} for name in call.body.get("labels", [])]
    row = hub.new("issues", title=call.body["title"], body=call.body.get("body"), state="open", labels=labels)
    row |= {"number": row["id"], "html_url": f"{hub.url}/{hub.repository}/issues/{row['id']}"}
    hub.issues.append(row)
    return 201, row, {}


def edit_issue(hub: FakeGitHub, call: Call, number: str) -> Answer:
    row = find(hub.issues, number=int(number))
    row |= call.body
    return 200, row, {}


def add_label(hub: FakeGitHub, call: Call) -> Answer:
    if any(row["name"] == call.body["name"] for row in hub.labels):
        raise Refused(422, "Validation Failed", resource="Label", code="already_exists", field="name")
    hub.labels.append(dict(call.body))
    return 201, call.body, {}


def list_labels(hub: FakeGitHub, call: Call) -> Answer:
    return hub.page(call, hub.labels)


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", r"/issues/(\d+)/comments", list_comments),
    ("POST", r"/issues/(\d+)/comments", add_comment),
    ("PATCH", r"/issues/comments/(\d+)", edit_comment),
    ("GET", r"/pulls/(\d+)", get_pull),
    ("GET", r"/pulls/(\d+)/files", list_files),
    ("GET", r"/contents/(.+)", get_content),
    ("GET", r"/commits/([0-9a-f]{40})/pulls", pulls_of_commit),
    ("GET", "/issues", list_issues),
    ("POST", "/issues", add_issue),
    ("PATCH", r"/issues/(\d+)", edit_issue),
    ("GET", "/labels", list_labels),
    ("POST", "/labels", add_label),
    *fake_releases.ROUTES,
]
