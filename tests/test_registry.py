"""What the factory asks a registry: names it refuses, and the password it gives to whom."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from gitops.release import image, registry
from gitops.shell import CommandError

MANIFEST = b'{"config": {"digest": "sha256:c0"}}'
BASIC = "Basic " + base64.b64encode(b"robot:secret").decode()


class Handler(BaseHTTPRequestHandler):
    """A registry that, like GitHub's, sells a token for the password, and takes only the token."""

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        given = self.headers.get("Authorization", "")
        if self.path == "/token?service=here&scope=repository%3Aacme%2Fmodel%3Apull":
            self.reply(200 if given == BASIC else 401, b'{"token": "gold"}')
        elif given == "Bearer gold":
            blob = json.dumps({"config": {"Labels": {"a": "b"}}}).encode()
            answers = {"/v2/acme/model/manifests/1": MANIFEST, "/v2/acme/model/blobs/sha256:c0": blob}
            self.reply(200 if self.path in answers else 404, answers.get(self.path, b""))
        else:
            self.reply(401, b"")

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        server: Any = self.server
        if status == 401:
            scope = 'service="here",scope="repository:acme/model:pull"'
            self.send_header("WWW-Authenticate", f'Bearer realm="{server.realm}",{scope}')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.realm = f"http://127.0.0.1:{made.server_port}/token"  # type: ignore[attr-defined]
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_a_token_is_bought_with_the_password(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"127.0.0.1:{server.server_port}/acme/model"
    with pytest.raises(CommandError, match="answered 401 for acme/model: REGISTRY_USER"):
        registry.manifest(name, "1")
    monkeypatch.setenv("REGISTRY_USER", "robot")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    found = registry.manifest(name, "1")
    assert found and found.content == MANIFEST and registry.labels(name, found) == {"a": "b"}
    assert registry.manifest(name, "2") is None


def test_a_password_is_not_sent_unencrypted(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_USER", "robot")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    server.realm = "http://registry.example.invalid/token"
    with pytest.raises(CommandError, match="asks for the password over a connection that is not encrypted"):
        registry.manifest(f"127.0.0.1:{server.server_port}/acme/model", "1")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", ""),
        ("none", ""),
        ("GHCR.io/Acme/churn", "ghcr.io/acme/churn"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
    ],
)
def test_the_repository(given: str, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE", given)
    assert image.repository() == made


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("acme/churn", "names no registry"),
        ("churn", "names no registry"),
        ("ghcr.io/acme/churn:1", "leave that off"),
        ("ghcr.io/acme/churn@sha256:00", "leave that off"),
    ],
)
def test_a_repository_that_is_none_is_refused(given: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE", given)
    with pytest.raises(CommandError, match=sentence):
        image.repository()


def test_an_engine_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", "lorry")
    with pytest.raises(CommandError, match="'lorry', which is none of podman, docker, buildah"):
        image.engine()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    with pytest.raises(CommandError, match="podman is not on PATH: install podman"):
        image.engine()
    monkeypatch.delenv("CONTAINER_ENGINE")
    with pytest.raises(CommandError, match="no container engine is on PATH"):
        image.engine()
