"""How much memory a service takes: all its processes together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

LOOK = 0.1  # seconds between two looks


def pss(root: int) -> float:
    """Return the proportional set size of a process and all below it, in MB: what they share is counted once."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(_pss(process) for process in family) / 1024


@contextmanager
def watched(root: int) -> Iterator[list[float]]:
    """Note the memory of a process and all below it, in MB, again and again."""
    sizes, over = [pss(root)], Event()

    def look() -> None:
        while not over.wait(LOOK):
            sizes.append(pss(root))

    thread = Thread(target=look)
    thread.start()
    yield sizes
    over.set()
    thread.join()


def _pss(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
