"""Make the generated folder a Git repository, and say what comes next. Nothing here needs the network."""

import json
import subprocess
import sys

ANSWERS: dict[str, str] = json.loads(r"""{{ cookiecutter | tojson }}""")

try:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
except FileNotFoundError:
    sys.exit(
        "error: git is not installed, and a model repository is nothing without it: install git and run this again"
    )
except subprocess.CalledProcessError:
    sys.exit("error: `git init` failed, its message is above: --initial-branch needs Git 2.28 or newer")

slug = ANSWERS["project_slug"]
print(f"""
{slug} is ready. Next, with uv installed:

    cd {slug} && uv sync
    git add --all && git commit -m "Generate {slug}"
    uv run dvc repro

Then read {slug}/README.md: it leads to the first pull request.""")
