"""Does the time of a refusal tell how much of a wrong key is right?

`python tests/bench/keys.py` asks the service's own check, in a trained project: keys that share all but their last
character with a known one, and keys that share none, in random order. Each round has new keys and gives one difference
of the two groups' mean times; Student's t over the rounds tells whether it differs from zero, beyond 3 for certain. A
check that stops at the first wrong character stands beside it, to show that the measurement sees what there is.
Reference: Reparaz, Balasch & Verbauwhede, "Dude, is my code constant time?" (2017), whose single t over all calls
takes the places of a round's keys in memory for a difference.
"""

import random
import statistics
import string
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
ROUNDS = 20
CALLS = 40_000  # in each
KEPT = 0.9  # of a group's times: the slowest are other work's
KNOWN = 3  # keys
POOL = 1000  # wrong keys of each group


def main() -> None:
    """Print one Markdown table."""
    from laptop import Laptop, from_template

    with TemporaryDirectory() as folder:
        base = Path(folder)
        from_template(base)
        project = Laptop(base / "trained", base)
        print(project.run(f"python {Path(__file__).resolve()} here"))


def here() -> None:
    """Time both checks with the project's own code."""
    from serving.api.auth import Keys, new_key

    differences: dict[str, list[float]] = {"ours": [], "stops at the first difference": []}
    for _ in range(ROUNDS):
        pairs = [new_key() for _ in range(KNOWN)]
        keys, known = Keys({"SERVICE_KEYS": " ".join(digest for _, digest in pairs)}), pairs[0][0]
        for name, check in zip(differences, (keys.opens, naive(known)), strict=True):
            far, near = times(check, known)
            differences[name].append(statistics.fmean(near) - statistics.fmean(far))
    print("| check | all but one right takes longer by, ns | t |\n|---|---:|---:|")
    for name, found in differences.items():
        t = statistics.fmean(found) / (statistics.stdev(found) / ROUNDS**0.5)
        print(f"| {name} | {statistics.fmean(found):+.1f} | {t:+.1f} |")


def naive(known: str) -> Callable[[bytes], bool]:
    """Return the check that everybody writes first, as slow as Python makes it."""
    wanted = f"Bearer {known}".encode()
    return lambda header: len(header) == len(wanted) and all(a == b for a, b in zip(header, wanted, strict=True))


def times(check: Callable[[bytes], bool], known: str) -> tuple[list[float], list[float]]:
    """Return the nanoseconds that refusing a key took: keys that share nothing with `known`, and that nearly do."""
    letters = string.ascii_letters + string.digits
    headers: list[list[bytes]] = [[], []]
    for _ in range(POOL):  # many keys, or the place of one in memory would tell them apart
        wrong = "".join(random.choice(letters.replace(character, "")) for character in known)
        headers[0].append(f"Bearer {wrong}".encode())
        headers[1].append(f"Bearer {known[:-1]}{wrong[-1]}".encode())
    groups: tuple[list[float], list[float]] = [], []
    for which in random.choices((0, 1), k=CALLS):
        header, begun = random.choice(headers[which]), time.perf_counter_ns()
        opened = check(header)
        groups[which].append(time.perf_counter_ns() - begun)
        assert not opened
    far, near = (sorted(group)[: int(KEPT * len(group))] for group in groups)
    return far, near


if __name__ == "__main__":
    here() if sys.argv[1:] == ["here"] else main()
