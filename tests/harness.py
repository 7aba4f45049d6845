"""What every test needs: an environment apart from this machine's, and generated projects."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent
TEMPLATE = "{{cookiecutter.project_slug}}"
SLUG = "churn-model"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BYTECODE = str(
    Path(sys.prefix, "pycache")
)  # of the template's own files: beside them, a generated project would get it

KEEP = {"LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
KEEP_PREFIXES = ("LC_", "PIP_", "SSL_", "UV_")  # how this machine reaches its package index
DROP = {"UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_RUN_RECURSION_DEPTH"}  # what belongs to the run of these tests
THREADS = {
    "OMP_NUM_THREADS": "1"
}  # of a training: with two tests at once, more would wait for each other and burn time
GITCONFIG = """[user]
name = Dana
email = dana@example.invalid
[init]
defaultBranch = main
[advice]
detachedHead = false
"""


class Failed(Exception):
    """A command failed; the text is all that it printed."""


def environment(home: Path) -> dict[str, str]:
    """Return variables for a person or runner that has nothing but `home`, which is made.

    The package cache and the interpreters stay shared, so that installing takes seconds. The environment of these tests
    is taken off PATH: a generated project that forgot a dependency must not find it there.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(GITCONFIG)
    kept = {key: value for key, value in os.environ.items() if key.upper() in KEEP or key.startswith(KEEP_PREFIXES)}
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != Path(sys.prefix, "bin")]
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    data = os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local/share"))
    shared = {"UV_CACHE_DIR": f"{cache}/uv", "UV_PYTHON_INSTALL_DIR": f"{data}/uv/python"}
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "XDG_CACHE_HOME": str(home / ".cache")}
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    own |= {"PATH": os.pathsep.join(paths)} | THREADS
    return {key: value for key, value in (shared | kept | own | quiet).items() if key not in DROP}


def run(*argv: str | Path, cwd: Path, env: dict[str, str], timeout: float = 300) -> str:
    """Run a command and return what it printed to stdout.

    Raises:
        Failed: its exit code was not 0.
    """
    done = subprocess.run(
        argv, cwd=cwd, env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout
    )
    if done.returncode:
        raise Failed(f"{argv} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def copy_template(target: Path) -> Path:
    """Copy what a commit of this checkout would hold, without the caches that lie around in it."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT, env=dict(os.environ))
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def bake(template: Path, out: Path, env: dict[str, str], *flags: str, **answers: str) -> Path:
    """Generate a project with cookiecutter's own command, hooks included, and return its folder.

    Raises:
        Failed: the answers were refused; the text is what a user sees.
    """
    out.mkdir(parents=True, exist_ok=True)
    given = [f"{key}={value}" for key, value in ({"python_version": PYTHON} | answers).items()]
    run(sys.executable, "-m", "cookiecutter", template, "--no-input", "-o", out, *flags, *given, cwd=out, env=env)
    project = out / answers.get("project_slug", SLUG)
    settings = project / "pyproject.toml"  # as its comment says: these tests install the same packages in a year
    settings.write_text(settings.read_text().replace("# exclude-newer = ", "exclude-newer = "))
    return project


def missing(what: str) -> NoReturn:
    """Skip the test because this machine lacks something; where all must be there (REQUIRE_TOOLS), fail."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(f"{what} is missing, and REQUIRE_TOOLS is set")
    pytest.skip(f"{what} is missing")


def needs(*tools: str) -> None:
    """Skip the test unless these commands are on PATH."""
    for tool in tools:
        if shutil.which(tool) is None:
            missing(tool)
