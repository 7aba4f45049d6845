"""A GitHub of our own on 127.0.0.1: it checks tokens, serves private repositories to Git, and hands API calls on."""

import base64
import gzip
import json
import os
import re
import subprocess
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]
Answer = tuple[int, Any, dict[str, str]]
# A ruleset: what comes over HTTP brings a workflow's token, and `main` takes merges only.
UPDATE_HOOK = """#!/bin/sh
case "$REMOTE_USER:$1" in
  ?*:refs/heads/main | ?*:refs/pull/*) echo "GH013: rule violations found for $1" >&2 && exit 1 ;;
esac
"""
BOT_TOKEN = "ghs_bot_token_for_tests"
FORK_TOKEN = "ghs_read_only_token_for_tests"
GIT_PATH = re.compile(r"/([\w.-]+/[\w.-]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")


@dataclass(frozen=True)
class Account:
    """Who a token speaks for."""

    login: str
    kind: str = "Bot"
    writes: bool = True


@dataclass(frozen=True)
class Call:
    """One request to the API as it came in: the log's entry, and what a route reads."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    raw: bytes
    account: Account
    accept: str


def make_repository(root: Path, name: str) -> Path:
    """Make an empty bare repository `OWNER/NAME` whose `main` is protected."""
    bare = root / f"{name}.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    subprocess.run(["git", "-C", bare, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    (bare / "hooks/update").write_text(UPDATE_HOOK)
    (bare / "hooks/update").chmod(0o755)
    return bare


class Refused(Exception):
    """What GitHub says instead of doing it: a status and a JSON body."""

    def __init__(self, status: int, message: str, /, **error: str) -> None:
        super().__init__(message)
        self.answer: Answer = (
            status,
            {"message": message, "status": str(status)} | ({"errors": [error]} if error else {}),
            {},
        )


def find(rows: list[Row], **wanted: Any) -> Row:
    """Return the row that has these values."""
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            return row
    raise Refused(404, "Not Found")


class Server(ThreadingHTTPServer, ABC):
    """Serve the bare repositories under `root` (`OWNER/NAME.git`), all private; `answer` is the API."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.lock = root, threading.Lock()
        self.files: dict[str, bytes] = {}
        self.tokens = {
            BOT_TOKEN: Account("github-actions[bot]"),
            FORK_TOKEN: Account("github-actions[bot]", writes=False),
        }

    @property
    def url(self) -> str:
        """Where both the API and the repositories are."""
        return f"http://127.0.0.1:{self.server_port}"

    @abstractmethod
    def answer(self, call: Call) -> Answer:
        """Return status, JSON body and extra headers for one call."""

    def account(self, header: str | None) -> Account | None:
        """Find whose token an Authorization header carries, in any of the three ways that GitHub takes it."""
        scheme, _, value = (header or "").partition(" ")
        if scheme.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        return self.tokens.get(value)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Tell Git's requests from the API's."""

    protocol_version = "HTTP/1.1"
    server: Server

    def serve(self) -> None:
        """Answer any request; GitHub hides a private repository (404) from who shows no token."""
        raw, url = self.read(), urlsplit(self.path)
        account = self.server.account(self.headers.get("Authorization"))
        if git := GIT_PATH.fullmatch(url.path):
            self.git(git[1], git[2], url.query, raw, account)
        elif url.path.startswith("/signed/"):
            self.signed(url.path)
        elif account is None:
            known = "Authorization" in self.headers
            self.reply(401, {"message": "Bad credentials"}) if known else self.reply(404, {"message": "Not Found"})
        else:
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            with self.server.lock:
                status, body, headers = self.server.answer(
                    Call(self.command, url.path, query, self.json(raw), raw, account, self.headers["Accept"])
                )
            self.reply(status, body, headers)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve  # noqa: N815 - named by the base class

    def signed(self, path: str) -> None:
        """Serve a file of the storage behind GitHub: whoever has the address may read, and no second key is taken."""
        if "Authorization" in self.headers:
            return self.reply(400, {"message": "InvalidArgument"})
        content = self.server.files.get(path)
        return self.reply(404, {}) if content is None else self.reply(200, content)

    def git(self, repository: str, service: str, query: str, raw: bytes, account: Account | None) -> None:
        """Run `git http-backend` for who may; a push needs a token that writes."""
        push = "git-receive-pack" in service + query
        if account is None:
            return self.reply(401, {}, {"WWW-Authenticate": 'Basic realm="GitHub"'})
        if not (self.server.root / f"{repository}.git").is_dir():
            return self.reply(404, {"message": "Not Found"})
        if push and not account.writes:
            return self.reply(403, {"message": "Write access to repository not granted."})
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1"}
        env |= {"PATH_INFO": f"/{repository}.git/{service}", "QUERY_STRING": query, "REQUEST_METHOD": self.command}
        env |= {
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_USER": account.login,
            "REMOTE_ADDR": "127.0.0.1",
        }
        env |= {"CONTENT_LENGTH": str(len(raw)), "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        done = subprocess.run(["git", "http-backend"], env=env, input=raw, capture_output=True, check=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(message_from_bytes(head).items())
        return self.reply(int(headers.pop("Status", "200").split()[0]), body, headers)

    def read(self) -> bytes:
        """Return the request's body; Git sends large ones in chunks, and small ones gzipped."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(parts)
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw

    def json(self, raw: bytes) -> Any:
        """Return the body as JSON, or None where it is something else (an asset)."""
        try:
            return json.loads(raw)
        except ValueError:
            return None

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Send a status with a JSON or a binary body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        ).items():
            self.send_header(key, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""
