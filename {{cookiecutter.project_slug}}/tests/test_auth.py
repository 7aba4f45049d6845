"""Who may call: a key is needed as soon as others can reach the service, and no key ever shows up anywhere."""

import asyncio
import hmac
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from serving.api import auth


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service that others can reach, without keys."""
    for name in ("SERVICE_KEYS", "SERVICE_KEYS_FILE", "SERVICE_OPEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(auth, "reachable", lambda: True)
    yield


def status(guard: auth.Guard, path: str = "/predict", key: str | None = None, scheme: str = "Bearer") -> int:
    """Return what a guarded service that always answers 200 answers."""
    found: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        found.extend([message["status"]] if "status" in message else [])

    headers = [(b"authorization", f"{scheme} {key}".encode())] if key else []
    asyncio.run(guard({"type": "http", "path": path, "method": "GET", "headers": headers}, receive, send))
    return found[0]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_each_known_key_opens_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, one), (second, two), (stranger, _) = (auth.new_key() for _ in range(3))
    monkeypatch.setenv("SERVICE_KEYS", f"{one}, {two.upper()}")
    guard = auth.Guard(app)
    assert [status(guard, key=key) for key in (first, second, stranger, None, one, "", first[:-1])] == [200] * 2 + [
        401
    ] * 5
    assert status(guard, key=first, scheme="bearer") == 200
    assert status(guard, key=first, scheme="Basic") == 401


def test_a_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = TestClient(auth.Guard(app)).get("/predict")
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert "set SERVICE_KEYS" in answer.json()["error"] and "--host 127.0.0.1" in answer.json()["error"]
    monkeypatch.setenv("SERVICE_KEYS", auth.new_key()[1])
    assert "Authorization: Bearer KEY" in TestClient(auth.Guard(app)).get("/predict").json()["error"]


def test_on_loopback_a_key_is_needed_only_if_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "reachable", lambda: False)
    assert [status(auth.Guard(app), path) for path in ("/predict", "/metrics", "/")] == [200] * 3
    monkeypatch.setenv("SERVICE_KEYS_FILE", "no such file")
    assert [status(auth.Guard(app), path) for path in ("/predict", "/metrics", "/readyz")] == [401, 401, 200]


def test_health_is_open_and_pages_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = ("/metrics", "/", "/docs.json", "/schema.json", "/static_content/x.js")
    for opened, expected in (("", [401] * 5), ("metrics", [200] + [401] * 4), ("docs, metrics", [200] * 5)):
        monkeypatch.setenv("SERVICE_OPEN", opened)
        guard = auth.Guard(app)
        assert [status(guard, path) for path in pages] == expected, opened
        assert [status(guard, path) for path in ("/livez", "/readyz", "/healthz", "/predict")] == [200] * 3 + [401]
        assert status(guard, "/metrics/") == status(guard, "//predict") == status(guard, "/predict/submit") == 401


def test_a_mounted_key_is_rotated_and_revoked_without_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (old, old_digest), (new, new_digest) = auth.new_key(), auth.new_key()
    mounted = tmp_path / "keys"
    monkeypatch.setenv("SERVICE_KEYS_FILE", str(mounted))
    guard = auth.Guard(app)
    assert status(guard, key=old) == 401, "there is no file yet"
    steps = [
        (f"{old_digest}\n", 200, 401),
        (f"{old_digest}\n{new_digest}\n", 200, 200),
        (new_digest, 401, 200),
        ("", 401, 401),
    ]
    for text, of_old, of_new in steps:
        mounted.write_text(text)
        assert (status(guard, key=old), status(guard, key=new)) == (of_old, of_new)
    mounted.write_text(new_digest)
    assert status(guard, key=new) == 200
    mounted.unlink()
    assert status(guard, key=new) == 401


def mount(folder: Path, generation: int, entries: dict[str, str]) -> None:
    """Bring a Secret's entries into a folder as Kubernetes does: links by way of one link, which is replaced."""
    state = folder / f"..{generation}"
    state.mkdir(parents=True)
    for name, text in entries.items():
        (state / name).write_text(text)
    (folder / "..new").symlink_to(state.name)
    (folder / "..new").rename(folder / "..data")
    for path in folder.iterdir():
        if path.name not in entries and not path.name.startswith(".."):
            path.unlink()
    for name in entries:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def test_a_mounted_secret_has_an_entry_for_each_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounted = tmp_path / "etc/model"
    monkeypatch.setenv("SERVICE_KEYS_FILE", str(mounted))
    guard = auth.Guard(app)
    (crm, of_crm), (shop, of_shop), (new, of_new) = (auth.new_key() for _ in range(3))

    def opened() -> list[int]:
        return [status(guard, key=key) for key in (crm, shop, new)]

    mounted.mkdir(parents=True)
    assert opened() == [401, 401, 401], "a Secret without entries"
    steps = [
        ({"crm": of_crm}, [200, 401, 401]),
        ({"crm": of_crm, "web-shop": f"{of_shop}\n"}, [200, 200, 401]),
        ({"crm": of_new, "web-shop": of_shop}, [401, 200, 200]),
        ({"web-shop": of_shop}, [401, 200, 401]),
        ({"web-shop": "no digest"}, [401, 401, 401]),
    ]
    for generation, (entries, expected) in enumerate(steps):
        mount(mounted, generation, entries)
        assert opened() == expected, entries
    shutil.rmtree(mounted)
    for entries, expected in steps:  # in a plain folder, edited in place
        shutil.rmtree(mounted, ignore_errors=True)
        mounted.mkdir()
        for name, text in entries.items():
            (mounted / name).write_text(text)
        assert opened() == expected, entries
    (mounted / "crm").write_text(of_crm)
    assert opened() == [200, 401, 401]
    (mounted / "crm").write_text(of_new)
    assert opened() == [401, 401, 200]


def test_a_key_given_for_a_digest_opens_nothing_and_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, digest = auth.new_key()
    monkeypatch.setattr(auth.logger.parent, "propagate", True)
    monkeypatch.setenv("SERVICE_KEYS", f"{key} {digest}")
    other, _ = auth.new_key()
    guard = auth.Guard(app)
    assert (status(guard, key=key), status(guard, key=other)) == (200, 401)
    assert "SERVICE_KEYS: 1 entries are no SHA-256 digest" in caplog.text
    assert not [secret for secret in (key, other, digest) if secret in caplog.text]


def test_every_digest_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, compared = [auth.new_key() for _ in range(3)], list[Any]()

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", spy)
    keys = auth.Keys({"SERVICE_KEYS": " ".join(digest for _, digest in pairs)})
    assert keys.opens(b"Bearer " + pairs[0][0].encode()) and not keys.opens(b"Bearer x")
    assert [digest.hex() for digest in compared] == [digest for _, digest in pairs] * 2


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104 - that is the test
def test_the_listening_socket_tells_whether_others_can_reach_it(host: str, expected: bool) -> None:
    script = (
        "import socket; from serving.api.auth import reachable\n"
        f"listening = socket.create_server(({host!r}, 0)); client = socket.create_connection(listening.getsockname())\n"
        "print(reachable())"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(expected)]
