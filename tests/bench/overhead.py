"""What does `gitops review` add to a pull request for which nothing must be trained, and where do the seconds go?

`python tests/bench/overhead.py` generates and trains a project, and reviews two pull requests: one that leaves the
model as it is, and one whose author trained and pushed another model.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
REST = "the rest (Python's start, imports, tables, report)"
SERVE = "opening the model with the `serve` group"
LABELS = {"dvc": "DVC's command line", "git": "Git (worktree, merge base, files)", "model": "scoring, both models"}
CASES = {"same": "alpha: 1.0  ", "another": "alpha: 9.0 "}


def main() -> None:
    """Print one Markdown table."""
    from laptop import Laptop, from_template

    with TemporaryDirectory() as folder:
        base = Path(folder)
        from_template(base)
        found: list[dict[str, float]] = []
        for name, alpha in CASES.items():
            (base / name).mkdir()
            project = Laptop(base / "trained", base / name)
            project.replace("params.yaml", "alpha: 1.0 ", alpha)
            project.run("dvc repro --quiet", "git commit --quiet --all --message case", "python -m gitops store push")
            found.append(json.loads(project.run(f"python {Path(__file__).resolve()} {name}").splitlines()[-1]))
    print("| seconds | same model | another model |\n|---|---:|---:|")
    for part in [*LABELS.values(), SERVE, "statistics", REST, "**all**", "processor time of all"]:
        print(f"| {part} | {' | '.join(f'{seconds.get(part, 0):.1f}' for seconds in found)} |")


def label(argv: tuple[str, ...]) -> str:
    """Return what a command is a part of."""
    name = (argv[2] if argv[1] == "-m" else argv[0]).partition(".")[0]
    return LABELS.get(name, SERVE)


def inside(*, judged: bool) -> None:
    """Review the project in the current folder, and print the seconds of each part as JSON."""
    seconds, started = defaultdict[str, float](float), time.perf_counter()

    def timed(function: Any, label: Callable[..., str]) -> Any:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            begun = time.perf_counter()
            result = function(*arguments, **more)
            seconds[label(*arguments)] += time.perf_counter() - begun
            return result

        return wrapped

    subprocess.run = timed(subprocess.run, label)
    from gitops.review import review

    if judged:  # a review of the same model does not even import it
        from gitops.review import judge

        judge.judge_predictions = timed(judge.judge_predictions, lambda *_: "statistics")
    review.review_commit("main", Path("review"))
    total = time.perf_counter() - started
    seconds[REST] = total - sum(seconds.values())
    print(json.dumps(seconds | {"**all**": total, "processor time of all": sum(os.times()[:4])}))


if __name__ == "__main__":
    inside(judged=sys.argv[1] == "another") if sys.argv[1:] else main()
