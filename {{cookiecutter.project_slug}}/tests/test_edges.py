"""What stands between a caller and the model: limits of a connection, one form for all answers, the request's id."""

import asyncio
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from serving.api import answers, auth, connection, contract, predict, route
from serving.api.predict import predictor
from serving.api.types import ROW_FIELDS
from serving.model_file.opening import MODEL
from serving.rows.parameters import param

JSON = {"content-type": "application/json"}
Records = list[dict[str, Any]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body, or on / without having read it."""
    if scope["type"] != "http":
        return
    body, more = b"", scope["path"] != "/"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where a server answers that has room for three connections."""
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    monkeypatch.setattr(connection, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(connection, "known", connection.Connections())
    connection.install()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(echo, log_level="critical", lifespan="off", timeout_keep_alive=1))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def send(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send a request in parts; return all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        for part in parts:
            wire.sendall(part)
            time.sleep(pause)
        return received(wire)


def received(wire: socket.socket) -> bytes:
    wire.settimeout(15)
    found = b""
    with suppress(ConnectionError):
        while piece := wire.recv(65_536):
            found += piece
    return found


def refusal(answer: bytes) -> tuple[int, str]:
    """Return the status and the sentence of the one answer in these bytes, which must be of the documented form."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.count(b"HTTP/1.1") == 1 and re.search(rb"\r\nx-request-id: [0-9a-f]{16}(\r|$)", head), answer
    told = json.loads(body)
    assert set(told) == {"error", "detail"} and b"content-type: application/json" in head
    return int(head[9:12]), told["error"]


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD, b"a: " + b"x" * 40_000 + b"\r\n\r\n"],  # one header
        [HEAD, b"".join(b"h%d: v\r\n" % i for i in range(101)), b"\r\n"],  # many
        [b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],  # the path
        [HEAD, *[b"a: " + b"x" * 9_000] * 5],  # no end
        [b"\r\n" * 20_000],  # no beginning
    ],
)
def test_a_head_is_limited(port: int, parts: list[bytes]) -> None:
    assert refusal(send(port, *parts, pause=0.01))[0] == 431


def test_what_follows_a_body_is_limited_like_a_head(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
        wire.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ntrailer: ")
        with suppress(ConnectionError):
            wire.sendall(b"x" * 60_000)
            assert wire.recv(1000) == b"", "cut off: its request waits for an answer of its own"


def test_a_head_within_the_limits_is_read(port: int) -> None:
    headers = b"".join(b"h%d: %s\r\n" % (i, b"v" * 300) for i in range(98))
    assert send(port, HEAD, headers, b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_who_still_sends_a_head_that_is_too_large_sees_the_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(HEAD)
        for _ in range(100):
            try:
                wire.sendall(b"".join(b"h%05d: v\r\n" % i for i in range(1000)))
            except OSError:
                break
        assert refusal(received(wire))[0] == 431


def test_what_is_no_http_gets_an_answer_that_a_client_reads(port: int) -> None:
    for text in (
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x00\xa5",
        HEAD + b"Content-Length: x\r\n\r\n",
    ):
        assert refusal(send(port, text)) == (400, "this is no HTTP/1.1 request that can be read")
    assert refusal(send(port, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"))[0] == 405


def test_a_slow_head_ends(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    assert refusal(send(port, HEAD, b"a: ", b"x", b"x", pause=0.1))[0] == 408
    assert send(port) == b"", "who sends nothing gets nothing"


def test_a_body_without_end_ends_with_its_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError):
            while time.monotonic() - begun < 15:
                wire.sendall(b"x")
                time.sleep(0.02)


def test_who_waits_gives_way_to_who_asks_and_a_full_house_says_so(port: int) -> None:
    busy = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    wires = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    assert send(port, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert wires[0].recv(10) == b"", "the oldest was closed"
    wires[0] = socket.create_connection(("127.0.0.1", port))
    for wire in wires:
        wire.sendall(busy)
    time.sleep(0.1)
    status, sentence = refusal(send(port, HEAD + b"\r\n"))
    assert (status, sentence) == (503, "too many connections: try again after a pause")
    for wire in wires:
        wire.sendall(b"x")
        assert received(wire).endswith(b"\r\n\r\nx")
        wire.close()


def test_pipelined_requests_are_answered_in_turn_and_not_hoarded(port: int) -> None:
    assert send(port, (HEAD + b"\r\n") * 10).count(b"HTTP/1.1 200") == 10
    assert send(port, (HEAD + b"\r\n") * 5000).count(b"HTTP/1.1 200") < 5000


def test_an_upgrade_to_http2_is_ignored_and_the_body_is_read(port: int) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + upgrade + b"Content-Length: 4\r\n\r\n"
    for parts in ([head + b"body"], [head, b"body"]):
        answer = send(port, *parts, pause=0.05)
        assert answer.endswith(b"\r\n\r\nbody") and answer.count(b"HTTP/1.1") == 1


def test_the_service_limits_its_connections(client: TestClient) -> None:
    assert client and HTTP_PROTOCOLS["auto"] == "serving.api.connection:Connection"


def test_every_refusal_has_the_documented_form(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/predict/", 404),
        ("GET", "/static_content/nothing", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/livez", 405),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/predict", 405),
        ("POST", "/predict", 415),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, (method, path, answer.text)
        assert set(answer.json()) == {"error", "detail"} and answer.headers["x-request-id"]
        assert ("allow" in answer.headers) == (status == 405)
    assert client.get("/predict").headers["allow"] == "POST"
    assert client.head("/metrics").status_code == client.head("/docs.json").status_code == 200
    monkeypatch.setattr(predictor().model.__class__, "score", lambda self, matrices: float("nan"))
    answer = client.get("/readyz")
    assert answer.status_code == 503 and set(answer.json()) == {"error", "detail"}


def test_what_fails_or_takes_too_long_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("Jane Doe")

    async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(9)

    monkeypatch.setattr(route, "ANSWER_SECONDS", 0.05)
    for app, status in ((fail, 500), (sleep, 504)):
        answer = TestClient(answers.Answers(route.Route(app))).get("/readyz")
        assert answer.status_code == status and set(answer.json()) == {"error", "detail"}
        assert "Jane" not in answer.text and answer.headers["x-request-id"]


def test_the_contract_says_what_each_path_may_answer(client: TestClient) -> None:
    paths = contract.document()["paths"]
    assert set(paths) == {"/predict", "/livez", "/healthz", "/readyz", "/metrics", "/docs.json"}
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert method.upper() in route.METHODS[path]
            assert {"200", "400", "405", "408", "431", "500", "503", "504"} <= set(operation["responses"])
            assert ("401" in operation["responses"]) == (path not in auth.HEALTH)
    assert {"401", "413", "415"} <= set(paths["/predict"]["post"]["responses"])
    assert contract.document()["components"]["schemas"]["Query"]["properties"]["records"]["maxItems"] == param(
        "service.max_rows"
    )


def test_a_request_keeps_its_name(client: TestClient, records: Records) -> None:
    body = {"records": records[:1]}
    for given in ("order-4711", "a/b+c=d:e@f~g.h_i", "x" * 128):
        assert client.post("/predict", json=body, headers={"X-Request-Id": given}).headers["x-request-id"] == given
    for odd in ("", "x" * 129, "a b", 'a"b', "a\tb", "{}"):
        made = client.post("/predict", json=body, headers={"X-Request-Id": odd}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", made), odd
    assert client.get("/nothing", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


def test_the_log_can_hold_the_request_s_id_and_the_model(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ["request_id", "model_md5", "score"]
    settings = predictor().log.settings.model_copy(update={"fields": fields, "sample": 1.0})
    monkeypatch.setattr(predictor().log, "settings", settings)
    monkeypatch.setattr(route, "SMALL", 1)  # answered in a thread
    answer = client.post("/predict", json={"records": records[:1]}, headers={"X-Request-Id": "order-1"}).json()
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"event"')]
    assert line["request_id"] == "order-1" and line["score"] == answer["predictions"][0]["score"]
    assert line["model_md5"] == answer["model_md5"] == hashlib.md5(MODEL.read_bytes()).hexdigest()  # noqa: S324


def test_unknown_fields_cost_no_more_than_their_body(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(body: bytes) -> Any:
        raise AssertionError("pydantic makes an error for each field")

    many = {f"{i:x}": 1 for i in range(route.MOST_FIELDS)}
    with monkeypatch.context() as patch:
        patch.setattr(route.Query, "model_validate_json", spy)
        for body, loc in (
            ({"records": records[:1]} | many, ["0"]),
            ({"records": [records[0], records[1] | many]}, ["records", 1, "0"]),
        ):
            answer = client.post("/predict", json=body)
            assert answer.status_code == 400 and len(answer.json()["detail"]) == route.LISTED
            assert answer.json()["detail"][0] == {
                "loc": loc,
                "msg": "Extra inputs are not permitted",
                "type": "extra_forbidden",
            }
    for odd in (b":" * (route.MOST_FIELDS + 1), json.dumps([many]).encode(), json.dumps({"records": many}).encode()):
        assert client.post("/predict", content=odd, headers=JSON).status_code == 400


def test_colons_in_texts_are_no_fields(client: TestClient, records: Records) -> None:
    name = next(iter(ROW_FIELDS - set(predict.SCHEMA.columns)), None)
    if name is None:
        pytest.skip("this project's rows have no id")
    row = records[0] | {name: ":" * route.MOST_FIELDS}
    assert client.post("/predict", json={"records": [row]}).status_code == 200


def test_large_bodies_and_answers_share_a_limit(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = records[:1], records[:20]
    expected = client.post("/predict", json={"records": large})
    size = min(len(expected.request.content), len(expected.content))
    monkeypatch.setattr(route, "SMALL", size // 2)
    monkeypatch.setattr(route, "PIECE", size // 4)
    assert client.post("/predict", json={"records": large}).json() == expected.json(), "sent in pieces"
    assert route.Share.held == 0
    monkeypatch.setattr(route, "MOST_HELD", size)
    answer = client.post("/predict", json={"records": large})
    assert answer.status_code == 503 and "busy with other large requests" in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"
    assert client.post("/predict", json={"records": small}).status_code == 200
    assert route.Share.held == 0


def test_a_page_of_another_site_can_not_ask_a_service_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "reachable", lambda: False)
    monkeypatch.delenv("SERVICE_KEYS", raising=False)
    monkeypatch.delenv("SERVICE_KEYS_FILE", raising=False)
    local = TestClient(auth.Guard(echo))
    for host in ("127.0.0.1:3000", "localhost", "[::1]:3000", "app.localhost:80", "model"):
        assert local.get("/", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example.com", "127.0.0.1.example.com:3000"):
        assert local.get("/", headers={"Host": host}).status_code == 403, host


def test_a_large_request_that_takes_too_long_is_given_up(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "SMALL", 1)
    monkeypatch.setattr(route, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(predictor(), "answer", lambda query: time.sleep(0.5))
    assert client.post("/predict", json={"records": records[:1]}).status_code == 504
    assert route.Share.held == 0


def test_who_does_not_take_an_answer_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FLUSH_SECONDS", 0.3)
    size = 8_000_000
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        time.sleep(1)
        assert len(received(wire)) < size
