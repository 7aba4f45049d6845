"""The fake must refuse where GitHub refuses, or tests against it prove nothing."""

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_github import FakeGitHub
from fake_server import BOT_TOKEN, FORK_TOKEN, Account, make_repository

Send = Callable[..., tuple[int, Any]]
REPO = "/repos/acme/churn-model"


def git(folder: Path, *argv: str) -> str:
    """Run Git as somebody, without this machine's settings."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    env = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(["git", *who, *argv], cwd=folder, env=env, text=True, capture_output=True)
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitHub]:
    """A GitHub with one repository that has one commit on main."""
    bare = make_repository(tmp_path, "acme/churn-model")
    commit = git(bare, "commit-tree", "-m", "one", git(bare, "mktree", "--missing"))
    git(bare, "update-ref", "refs/heads/main", commit)
    with FakeGitHub(tmp_path) as server:
        yield server


@pytest.fixture
def send(hub: FakeGitHub) -> Send:
    """Send one call; the answer is the status and the JSON body."""

    def call(method: str, path: str, body: Any = None, *, token: str = BOT_TOKEN, data: bytes | None = None) -> Any:
        url = path if path.startswith("http") else f"{hub.url}{REPO}{path}"
        request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else data)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request) as answer:
                call.link = answer.headers.get("Link", "")  # type: ignore[attr-defined]
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return call


def draft(send: Send, tag: str = "v1", **more: Any) -> dict[str, Any]:
    status, row = send("POST", "/releases", {"tag_name": tag, "draft": True} | more)
    assert status == 201
    return dict(row)


def upload(send: Send, row: dict[str, Any], name: str = "a.bento", data: bytes = b"x") -> tuple[int, Any]:
    return send("POST", row["upload_url"].split("{")[0] + f"?name={name}", data=data)


def test_tokens(send: Send) -> None:
    assert send("GET", "/issues/1/comments", token="wrong")[1]["message"] == "Bad credentials"
    assert send("GET", "/issues/1/comments", token="wrong")[0] == 401
    assert send("GET", "/issues/1/comments", token="")[0] == 404, "a private repository is hidden, not forbidden"
    assert send("GET", "/issues/1/comments", token=FORK_TOKEN) == (200, [])
    status, answer = send("POST", "/issues/1/comments", {"body": "x"}, token=FORK_TOKEN)
    assert (status, answer["message"]) == (403, "Resource not accessible by integration")
    assert send("GET", "/no/such/thing")[0] == 404


def test_comments_are_paged_and_edited(hub: FakeGitHub, send: Send) -> None:
    for number in range(101):
        hub.comment(7, f"c{number}", Account("stranger", kind="User"))
    assert len(send("GET", "/issues/7/comments")[1]) == 30
    status, first = send("GET", "/issues/7/comments?per_page=100&page=1")
    assert status == 200 and [row["body"] for row in first] == [f"c{number}" for number in range(100)]
    assert 'page=2>; rel="next"' in send.link  # type: ignore[attr-defined]
    (last,) = send("GET", "/issues/7/comments?per_page=100&page=2")[1]
    assert send.link == ""  # type: ignore[attr-defined]
    assert (last["body"], last["user"]) == ("c100", {"login": "stranger", "type": "User"})
    assert send("PATCH", f"/issues/comments/{last['id']}", {"body": "edited"})[0] == 200
    assert send("GET", "/issues/7/comments?per_page=100&page=2")[1][0]["body"] == "edited"
    assert send("GET", "/issues/8/comments")[1] == []
    assert send("PATCH", "/issues/comments/1", {"body": "x"})[0] == 404
    status, answer = send("POST", "/issues/7/comments", {"body": "x" * 65537})
    assert status == 422 and answer["errors"][0]["message"] == "Body is too long (maximum is 65536 characters)"


def test_a_draft_has_no_tag_until_it_is_published(hub: FakeGitHub, send: Send) -> None:
    row = draft(send)
    assert send("GET", "/releases/tags/v1")[0] == 404
    assert [entry["draft"] for entry in send("GET", "/releases")[1]] == [True]
    assert send("GET", "/releases", token=FORK_TOKEN)[1] == [], "only who may push sees drafts"
    assert send("GET", "/git/ref/tags/v1")[0] == 404
    assert send("PATCH", f"/releases/{row['id']}", {"draft": False})[0] == 200
    assert send("GET", "/releases/tags/v1")[1]["id"] == row["id"]
    assert send("GET", "/releases/latest")[1]["id"] == row["id"]
    tag = send("GET", "/git/ref/tags/v1")[1]["object"]
    assert tag == {"sha": hub.git("rev-parse", "main"), "type": "commit"}, "GitHub makes a lightweight tag"


def test_one_release_a_tag_but_many_drafts(send: Send) -> None:
    first, second = draft(send), draft(send)
    assert send("PATCH", f"/releases/{first['id']}", {"draft": False})[0] == 200
    status, answer = send("PATCH", f"/releases/{second['id']}", {"draft": False})
    assert status == 422
    assert answer["errors"] == [{"resource": "Release", "code": "already_exists", "field": "tag_name"}]
    assert send("POST", "/releases", {"tag_name": "v1"})[0] == 422
    status, answer = send("POST", "/releases", {"tag_name": "v2", "target_commitish": "0" * 40})
    assert (status, answer["errors"][0]["field"]) == (422, "target_commitish")


def test_assets(hub: FakeGitHub, send: Send) -> None:
    row = draft(send)
    status, asset = upload(send, row, data=b"bento")
    assert (status, asset["state"], asset["size"]) == (201, "uploaded", 5)
    status, answer = upload(send, row)
    assert (status, answer["errors"][0]["code"]) == (422, "already_exists")
    assert send("DELETE", f"/releases/assets/{asset['id']}") == (204, None)
    assert send("DELETE", f"/releases/assets/{asset['id']}")[0] == 404
    assert send("GET", f"/releases/{row['id']}/assets")[1] == []
    send("PATCH", f"/releases/{row['id']}", {"draft": False})
    assert upload(send, row)[0] == 201, "a published release still takes assets"


def test_immutable_releases_take_nothing(hub: FakeGitHub, send: Send) -> None:
    hub.immutable, row = True, draft(send)
    asset = upload(send, row)[1]
    send("PATCH", f"/releases/{row['id']}", {"draft": False})
    assert upload(send, row, "b")[1]["message"] == "Cannot upload assets to an immutable release."
    assert send("DELETE", f"/releases/assets/{asset['id']}")[0] == 422


def test_tags(hub: FakeGitHub, send: Send) -> None:
    sha = hub.git("rev-parse", "main")
    status, tag = send("POST", "/git/tags", {"tag": "v1", "message": "one", "object": sha, "type": "commit"})
    assert status == 201 and hub.git("tag", "--list") == "", "a tag object alone is not a tag"
    assert send("POST", "/git/refs", {"ref": "refs/tags/v1", "sha": tag["sha"]})[0] == 201
    assert send("GET", "/git/ref/tags/v1")[1]["object"]["type"] == "tag"
    assert hub.git("tag", "--list", "--format=%(refname:short) %(contents:subject)") == "v1 one"
    status, answer = send("POST", "/git/refs", {"ref": "refs/tags/v1", "sha": sha})
    assert (status, answer["message"]) == (422, "Reference already exists")
    assert send("POST", "/git/refs", {"ref": "refs/tags/v2", "sha": "0" * 39 + "1"})[0] == 422


def test_files_of_a_pull_request(hub: FakeGitHub, send: Send, tmp_path: Path) -> None:
    def tree(*names: str) -> str:
        blob = str(hub.git("hash-object", "-w", "--stdin", text="the same text in all\n"))
        listed = "".join(f"100644 blob {blob}\t{name}\n" for name in sorted(names))
        return str(hub.git("mktree", text=listed))

    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    base = hub.git(*who, "commit-tree", "-m", "base", tree("a", "b"))
    head = hub.git(*who, "commit-tree", "-m", "head", "-p", str(base), tree("a", "c", *(f"d{i}" for i in range(40))))
    assert send("GET", "/pulls/7/files")[0] == 404
    hub.pulls = [{"number": 7, "base": {"sha": base}, "head": {"sha": head}}]
    rows = send("GET", "/pulls/7/files?per_page=100&page=1", token=FORK_TOKEN)[1]
    assert {row["filename"] for row in rows} == {"c", *(f"d{i}" for i in range(40))}
    (renamed,) = [row for row in rows if row["status"] == "renamed"]
    assert renamed["previous_filename"] == "b" and {row["status"] for row in rows} == {"added", "renamed"}
    assert len(send("GET", "/pulls/7/files")[1]) == 30
    assert len(send("GET", "/pulls/7/files?per_page=30&page=2")[1]) == 11


def test_contents_at_a_revision(hub: FakeGitHub, send: Send, tmp_path: Path) -> None:
    bare = tmp_path / "acme/churn-model.git"
    for name, size in (("small", 10), ("large", 2**20 + 1)):
        (tmp_path / name).write_text("x" * size)
        blob = git(bare, "hash-object", "-w", str(tmp_path / name))
        tree = subprocess.run(
            ["git", "mktree"], cwd=bare, input=f"100644 blob {blob}\tä b\n", text=True, capture_output=True, check=True
        ).stdout.strip()
        git(bare, "update-ref", f"refs/heads/{name}", git(bare, "commit-tree", "-m", "one", tree))
    status, row = send("GET", "/contents/%C3%A4%20b?ref=small")
    assert status == 200 and row["encoding"] == "base64" and base64.b64decode(row["content"]) == b"x" * 10
    status, row = send("GET", "/contents/%C3%A4%20b?ref=large")
    assert (row["encoding"], row["content"], row["size"]) == ("none", "", 2**20 + 1), "this form ends at 1 MB"
    assert send("GET", "/contents/missing?ref=small")[0] == 404
    assert send("GET", "/contents/%C3%A4%20b?ref=missing")[0] == 404


def test_issues_and_labels(hub: FakeGitHub, send: Send) -> None:
    assert send("POST", "/labels", {"name": "drift"})[0] == 201
    assert send("POST", "/labels", {"name": "drift"})[1]["errors"][0]["code"] == "already_exists"
    issue = send("POST", "/issues", {"title": "Drift", "labels": ["drift"]})[1]
    send("POST", "/issues", {"title": "Other"})
    assert [row["title"] for row in send("GET", "/issues?labels=drift")[1]] == ["Drift"]
    send("PATCH", f"/issues/{issue['number']}", {"state": "closed"})
    assert [row["title"] for row in send("GET", "/issues")[1]] == ["Other"]
    assert [row["title"] for row in send("GET", "/issues?state=all")[1]] == ["Drift", "Other"]


def test_faults_are_answered_so_many_times(hub: FakeGitHub, send: Send) -> None:
    hub.fail("POST", "/comments", 502, times=2)
    statuses = [send("POST", "/issues/1/comments", {"body": "x"})[0] for _ in range(3)]
    assert statuses == [502, 502, 201] and len(hub.comments) == 1
    assert hub.calls("POST") == [f"{REPO}/issues/1/comments"] * 3


def test_git_needs_a_token_as_in_a_private_repository(hub: FakeGitHub, tmp_path: Path) -> None:
    url = f"{hub.url}/acme/churn-model"
    assert "could not read Username" in git(tmp_path, "clone", url, "anonymous")

    def with_token(token: str, *argv: str) -> str:
        address = url.replace("//", f"//x-access-token:{token}@")
        return git(tmp_path, *[address if word == "URL" else word for word in argv])

    assert "failed" not in with_token(FORK_TOKEN, "clone", "--quiet", "URL", "clone")
    (tmp_path / "clone/large").write_bytes(bytes(range(256)) * 8192)  # above Git's 1 MiB: sent in chunks
    git(tmp_path / "clone", "add", "large")
    git(tmp_path / "clone", "commit", "--quiet", "-m", "two")
    assert "403" in with_token(FORK_TOKEN, "-C", "clone", "push", "URL", "HEAD:refs/heads/two")
    assert "failed" not in with_token(BOT_TOKEN, "-C", "clone", "push", "URL", "HEAD:refs/heads/two")
    assert hub.git("rev-parse", "two") == git(tmp_path / "clone", "rev-parse", "HEAD")
    assert "GH013" in with_token(BOT_TOKEN, "-C", "clone", "push", "URL", "HEAD:refs/heads/main")
    assert hub.git("rev-parse", "main") != hub.git("rev-parse", "two"), "main takes merges only"
