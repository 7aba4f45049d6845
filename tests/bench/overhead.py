"""What does `gitops review` add to a pull request for which nothing must be trained, and where do the seconds go?

`python tests/bench/overhead.py` generates and trains a project, and reviews two pull requests: one that leaves the model
as it is, and one whose author trained and pushed another model.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
REAL = subprocess.run
LABELS = {"dvc": "DVC", "git": "Git (worktree, merge base, files)", "model": "scoring, both models"}


def main() -> None:
    """Print one Markdown table."""
    from harness import copy_template
    from laptop import Laptop, train

    with TemporaryDirectory() as folder:
        base = Path(folder)
        train(copy_template(base / "template"), base / "trained")
        found = {}
        for name, old, new in (
            ("same model", "alpha: 1.0 ", "alpha: 1.0  "),
            ("another model", "alpha: 1.0", "alpha: 9.0"),
        ):
            (base / name).mkdir()
            project = Laptop(base / "trained", base / name)
            project.replace("params.yaml", old, new)
            project.run("dvc repro --quiet", "git commit --quiet --all --message case", "python -m gitops store push")
            found[name] = json.loads(project.run(f"python {Path(__file__).resolve()} inside").splitlines()[-1])
    print("| seconds | same model | another model |\n|---|---:|---:|")
    for part in [*LABELS.values(), "statistics", "the rest (Python's start, imports, tables, report)", "**all**"]:
        print(f"| {part} | {' | '.join(f'{seconds.get(part, 0):.1f}' for seconds in found.values())} |")


def inside() -> None:
    """Review the project in the current folder, and print the seconds of each part as JSON."""
    seconds, started = Counter[str](), time.perf_counter()

    def run(argv: Any, **more: Any) -> Any:
        begun = time.perf_counter()
        done = REAL(argv, **more)
        tool = argv[2] if argv[1] == "-m" else argv[0]
        seconds[LABELS[tool]] += time.perf_counter() - begun
        return done

    subprocess.run = run  # type: ignore[assignment]
    from gitops import judge, review

    real = judge.judge

    def timed(*arguments: Any) -> dict[str, Any]:
        begun = time.perf_counter()
        result = real(*arguments)
        seconds["statistics"] += time.perf_counter() - begun
        return result

    judge.judge = timed
    review.review("main", Path("review"))
    total = time.perf_counter() - started
    rest = total - sum(seconds.values())
    print(json.dumps(seconds | {"the rest (Python's start, imports, tables, report)": rest, "**all**": total}))


if __name__ == "__main__":
    inside() if sys.argv[1:] == ["inside"] else main()
