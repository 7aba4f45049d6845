"""Does the service lose nothing in a restart, answer on while others misuse it, and keep its memory?

`python tests/bench/load.py` trains a project, serves it on one core with keys, checks, metrics and log, and calls it
from another core.

1. Callers at 80 % of the rate that they reached just before, with a restart (SIGTERM) in the middle, send again what
   got no answer. Each request must get one 200 with its own id, and the old process must end within the grace period
   of deploy/base/deployment.yaml, of which the pause ahead of SIGTERM is taken off. A caller waits for its answer: what
   it would have sent meanwhile is left out.
2. Eight callers, alone and then beside connections that send their body byte by byte, bodies over the limit, 60 MB of
   headers without a key, or 1.5 MB of unknown fields, again and again; none of theirs may fail, and the memory must
   stay below the limit of deploy/base/deployment.yaml.
3. The memory of all its processes after each 20,000 of 200,000 requests, and after 20,000 to paths that don't exist.
   The first look comes after some seconds of load: BentoML keeps a little of each request for as long as its
   `traffic.timeout`, so the memory is that of the rate and not of the number of requests.

It prints three tables, and exits with 1 when a promise is broken.
"""

import asyncio
import gc
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]  # ahead of this folder, which has another `serving`
if TYPE_CHECKING:
    from loadgen import Callers
    from serving import Service

SECONDS = 300.0  # of load around the restart
SHARE = 0.8  # of the limit
CLIENTS = 32  # around the restart
BESIDE = 10.0  # seconds of each attack
ATTACKS: tuple[dict[str, int], ...] = (  # connections
    {},
    {"slow": 200},
    {"too large": 20},
    {"slow": 200, "too large": 20},
    {"headers": 20},
    {"unknown fields": 5},
)
SLOWEST = 250.0  # ms, of 99 in 100 answers beside an attack
SETTLE = 20.0  # seconds of load ahead of the first look
STEP, STEPS = 20_000, 10  # requests between two looks at the memory
GROWTH = 5.0  # % of memory at most, since the first look
DEPLOYMENT = "deploy/base/deployment.yaml"


def main() -> None:
    """Print the tables."""
    from laptop import Laptop, from_template
    from loadgen import Callers
    from serving import served

    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("error: one core is too few: the service needs one and its callers another")
    with TemporaryDirectory() as name:
        folder = Path(name)
        say("training the project")
        from_template(folder)
        project = Laptop(folder / "trained", folder)
        words = project.run("python -m model key").split()
        pinned = ("taskset", "--cpu-list", str(cores[0]))
        os.sched_setaffinity(0, {cores[1]})
        gc.disable()  # among a million answers that are kept, a collection would stop the callers
        with served(project.path, project.env, *pinned, SERVICE_KEYS=words[words.index("digest") + 1]) as service:
            callers = Callers(service.port, words[1], row(project.path), "customer_id")
            if wrong := asyncio.run(callers.load(seconds=3)).wrong:
                sys.exit(f"error: the service answers {wrong[0]}")
            broken = [
                *asyncio.run(restarted(service, callers, grace(project.path))),
                *beside_others(service, callers, limit(project.path)),
                *memory(service, callers),
            ]
    sys.exit("\n".join(["", *(f"broken: {promise}" for promise in broken)]) if broken else 0)


def row(project: Path) -> dict[str, Any]:
    """Return a row that the service takes."""
    page = (project / "docs/api.md").read_text()
    record: dict[str, Any] = json.loads(page.split("```json\n")[1].split("```")[0])["records"][0]
    return record


def grace(project: Path) -> float:
    """Return the seconds between SIGTERM and SIGKILL."""
    spec = yaml.safe_load((project / DEPLOYMENT).read_text())["spec"]["template"]["spec"]
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    return float(spec["terminationGracePeriodSeconds"] - pause)


def limit(project: Path) -> float:
    """Return the memory that a pod may have, in MB as `pss` counts them."""
    spec = yaml.safe_load((project / DEPLOYMENT).read_text())["spec"]["template"]["spec"]
    return float(spec["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))


async def restarted(service: "Service", few: "Callers", patience: float) -> list[str]:
    """Print how a restart under load went; return the broken promises."""
    from dataclasses import replace

    callers = replace(few, clients=CLIENTS)
    limit = await callers.load(seconds=min(10.0, SECONDS))
    rate = SHARE * len(limit.times) / min(10.0, SECONDS)
    say(f"{SECONDS:.0f} seconds at {rate:,.0f} requests/s, with a restart in the middle")
    begun = time.perf_counter()
    load = asyncio.ensure_future(callers.load(seconds=SECONDS, rate=rate))
    await asyncio.sleep(SECONDS / 2)
    stopped = time.perf_counter()
    took = await asyncio.to_thread(service.restart, patience)
    found = await load
    back = next(came for came, _ in found.times if came > stopped + took)
    print(f"| {SHARE:.0%} of the limit, a restart after {SECONDS / 2:.0f} s | |\n|---|---:|")
    print(f"| requests, and their rate | {found.sent:,}, {rate:,.0f}/s |")
    print(f"| lost; answered wrongly | {found.lost()}; {len(found.wrong)} |")
    print(f"| sent again; of them cut off without an answer | {found.retries:,}; {found.cut} |")
    print(f"| SIGTERM to the end, of {patience:.0f} s | {took:.1f} s |")
    print(f"| longest time without an answer | {found.gap():.1f} s |")
    for when, since, until in (("before", begun, stopped), ("after", back, float("inf"))):
        p50, p99 = (found.quantile(share, since, until) for share in (0.5, 0.99))
        print(f"| p50, p99 {when} | {p50:.1f}, {p99:.1f} ms |", flush=True)
    return [f"{found.lost()} requests were lost"] if found.lost() or found.wrong else []


def beside_others(service: "Service", callers: "Callers", most: float) -> list[str]:
    """Print what callers get beside others that misuse the service; return the broken promises."""
    from loadgen import attack
    from memory import watched

    columns = ("beside", "requests/s", "p50, ms", "p99, ms", "failed", "MB at most", "what the others got")
    print(f"\n| {' | '.join(columns)} |\n|---|---:|---:|---:|---:|---:|---|")
    broken = []
    for misuses in ATTACKS:
        name = ", ".join(f"{count} {what}" for what, count in misuses.items()) or "alone"
        say(f"{BESIDE:.0f} seconds of callers beside: {name}")
        with ProcessPoolExecutor(1) as pool, watched(service.process.pid) as sizes:
            others = pool.submit(attack, callers.port, callers.key, misuses, BESIDE + 2)
            time.sleep(1)
            found = asyncio.run(callers.load(seconds=BESIDE))
            got = others.result()
        failed, peak = len(found.wrong) + found.retries, max(sizes)
        p50, p99 = found.quantile(0.5), found.quantile(0.99)
        answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(got.items()))
        figures = f"{len(found.times) / BESIDE:,.0f} | {p50:.1f} | {p99:.1f} | {failed} | {peak:.0f}"
        print(f"| {name} | {figures} | {answers} |", flush=True)
        if failed or p99 > SLOWEST or peak > most:
            broken.append(f"beside {name} {failed} requests failed, p99 was {p99:.0f} ms and the memory {peak:.0f} MB")
    return broken


def memory(service: "Service", callers: "Callers") -> list[str]:
    """Print the memory as requests come in; return the broken promises."""
    from memory import pss

    print("\n| requests | MB | growth |\n|---:|---:|---:|")
    asyncio.run(callers.load(seconds=SETTLE))
    sizes = []
    for step in range(1, STEPS + 2):
        say(f"memory: {step * STEP:,} requests")
        unknown = step > STEPS
        asyncio.run(callers.wander(STEP) if unknown else callers.load(requests=STEP))
        sizes.append(pss(service.process.pid))
        what = "to unknown paths" if unknown else ""
        print(f"| {STEP if unknown else step * STEP:,} {what} | {sizes[-1]:.1f} | {growth(sizes):+.1f} % |", flush=True)
    return [f"the memory grew by {growth(sizes):.1f} %"] if growth(sizes) > GROWTH else []


def growth(sizes: list[float]) -> float:
    return 100 * (sizes[-1] / sizes[0] - 1)


def say(text: str) -> None:
    print(f"› {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
