"""The service under load: nothing is lost over a restart, and callers that misuse it hold nobody up."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from laptop import Laptop
from loadgen import Callers, Found, attack
from memory import watched
from serving import Service, served

pytestmark = pytest.mark.slow

MEMORY = 500  # MB, of the 768 MiB that a pod may have


@pytest.fixture(scope="module")
def service(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Callers]]:
    laptop = Laptop(champion, tmp_path_factory.mktemp("load"))
    words = laptop.run("python -m model key").split()
    row = json.loads(laptop.read("docs/api.md").split("```json\n")[1].split("```")[0])["records"][0]
    digest = words[words.index("digest") + 1]
    with served(laptop.path, laptop.env, SERVICE_KEYS=digest) as running:
        yield running, Callers(running.port, words[1], row, "customer_id")


@pytest.mark.parametrize(
    ("misuses", "answers"),
    [
        ({"slow": 100, "too large": 5}, {"413"}),  # the slow ones are still sending
        ({"headers": 3, "unknown fields": 2}, {"400", "431"}),
    ],
)
def test_callers_that_misuse_it_hold_nobody_up(
    service: tuple[Service, Callers], misuses: dict[str, int], answers: set[str]
) -> None:
    running, callers = service
    with ProcessPoolExecutor(1) as pool, watched(running.process.pid) as sizes:
        others = pool.submit(attack, callers.port, callers.key, misuses, 4.0)
        found = asyncio.run(callers.load(seconds=3, rate=100))
        got = others.result()
    assert set(got) - {"cut off"} == answers
    assert (found.lost(), found.retries, found.wrong) == (0, 0, [])
    assert found.sent > 200 and found.quantile(0.9) < 500
    assert max(sizes) < MEMORY


def test_a_restart_under_load_loses_no_request(service: tuple[Service, Callers]) -> None:
    running, callers = service
    old = running.process

    async def restart_in_the_middle() -> Found:
        async with asyncio.timeout(60):
            load = asyncio.ensure_future(callers.load(seconds=3, rate=200))
            await asyncio.sleep(1)
            assert await asyncio.to_thread(running.restart, 20) < 20
            return await load

    found = asyncio.run(restart_in_the_middle())
    assert old.returncode is not None and running.process.poll() is None
    assert (found.lost(), found.wrong) == (0, []) and found.sent > 100
    assert found.retries and found.gap() > 0.5, "else nothing was restarted"
    assert "Traceback" not in running.log.read_text()
