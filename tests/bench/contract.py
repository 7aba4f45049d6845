"""Does the running service keep its contract? Ten thousand made-up requests, good and bad, by Schemathesis.

`python tests/bench/contract.py` generates, trains and serves a project; a quarter of an hour. It stops with 1 at the
first answer that the contract does not allow, and at any 5xx.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
CASES = 10_000


def main() -> None:
    """Print one line."""
    from laptop import Laptop, from_template
    from serving import schemathesis, served

    with TemporaryDirectory() as folder:
        base = Path(folder)
        from_template(base)
        (base / "copy").mkdir()
        project = Laptop(base / "trained", base / "copy")
        words = project.run("python -m model key").split()
        with served(project.path, project.env, SERVICE_KEYS=words[words.index("digest") + 1]) as service:
            begun = time.monotonic()
            cases, told = schemathesis(project.path / "openapi.json", service, words[1], CASES, base, timeout=7200)
    if cases < CASES:
        sys.exit(told[-5000:])
    print(f"{cases:,} requests, each answered as openapi.json says, in {(time.monotonic() - begun) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
