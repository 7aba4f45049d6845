"""A model's first day, on this machine: generate, train, review, merge, release, serve, ask.

`make demo` runs it. A local bare repository plays GitHub; everything else is what a team would run. It leaves `demo/`
for looking.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "demo"
PROJECT = DEMO / "churn-model"
STARTED = time.monotonic()
CUSTOMER = {  # as the CRM sends it
    "customer_id": "C00004",
    "female": False,
    "senior_citizen": False,
    "partner": False,
    "dependents": False,
    "tenure": 45,
    "phone_service": False,
    "multiple_lines": "No phone service",
    "internet_service": "DSL",
    "online_security": "Yes",
    "online_backup": "No",
    "device_protection": "Yes",
    "tech_support": "Yes",
    "streaming_tv": "No",
    "streaming_movies": "No",
    "contract": "One year",
    "paperless_billing": False,
    "payment_method": "Bank transfer (automatic)",
    "monthly_charges": 42.3,
    "total_charges": 1840.75,
}
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"
}  # the template's is not theirs
ENVIRONMENT["IMAGE"] = "none"  # there is no registry on this machine

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> None:
    """Live the day; a step that fails ends it with the step's own message."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    try:
        generate()
        first_model()
        experiment()
        merge()
        predict()
    except subprocess.CalledProcessError as error:
        sys.exit(f"\nerror: `{' '.join(error.cmd)}` failed with {error.returncode}; its message is above")
    say(f"That was a model's first day, in {time.monotonic() - STARTED:.0f} s. Look around:")
    for place, what in [
        ("demo/churn-model", "the repository; `git log --graph --all` tells the day"),
        ("demo/pull-request.md", "the report, as GitHub shows it in the pull request"),
        ("demo/churn-model/dist", "what the GitHub release carries"),
    ]:
        print(f"  {place:24}{what}")


def generate() -> None:
    """Make the repository, as `cookiecutter gh:OWNER/TEMPLATE` would."""
    say("A data scientist generates a repository for the churn model")
    python = f"python_version={sys.version_info.major}.{sys.version_info.minor}"
    run(sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--output-dir", str(DEMO), python, cwd=ROOT)
    run("uv", "sync", "--quiet")
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(DEMO / "origin.git"))
    run("git", "remote", "add", "origin", str(DEMO / "origin.git"))
    for key, value in {
        "user.name": "Dana",
        "user.email": "dana@example.invalid",
        "advice.detachedHead": "false",
    }.items():
        run("git", "config", key, value, quietly=True)


def first_model() -> None:
    """Train on the shipped table and release what came out."""
    say("The first model: 7,043 customers, validated, split, trained, evaluated")
    run("uv", "run", "dvc", "repro")
    commit("Train the first model")
    run("uv", "run", "gitops", "store", "push")
    run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    say("On GitHub the push to main starts release.yml, which runs this")
    run("uv", "run", "gitops", "release")


def experiment() -> None:
    """Change the model on a branch and read what the reviewer will read."""
    say("An idea: would gradient boosting see more? A branch is safe, nowhere near production")
    run("git", "switch", "--quiet", "--create", "gradient-boosting")
    edit("params.yaml", "kind: linear", "kind: gradient_boosting")
    run("uv", "run", "dvc", "repro")
    commit("Try gradient boosting")
    run("uv", "run", "gitops", "store", "push")
    run("git", "push", "--quiet", "--set-upstream", "origin", "gradient-boosting")
    say("On GitHub the pull request starts pull-request.yml: the model review, posted as one comment")
    run("uv", "run", "gitops", "review")
    shutil.copy(PROJECT / "review/report.md", DEMO / "pull-request.md")
    run("uv", "run", "gitops", "verdict")


def merge() -> None:
    """Merge, which is the release."""
    say("The reviewer merges. A merge is a release: version, Bento, tag")
    run("git", "switch", "--quiet", "main")
    run("git", "merge", "--quiet", "--no-ff", "--message", "Merge gradient-boosting", "gradient-boosting")
    run("git", "push", "--quiet")
    run("uv", "run", "gitops", "release")
    run("git", "tag", "--list", "-n1")


def predict() -> None:
    """Serve the released Bento in an environment that has nothing of training, and ask it about a customer."""
    say("Operations run the released Bento: no pandas, no scikit-learn, no DVC in there")
    version = json.loads((PROJECT / "dist/release.json").read_text())["version"]
    serving = {"UV_PROJECT_ENVIRONMENT": str(DEMO / "serving"), "BENTOML_HOME": str(DEMO / "bentoml")}
    run("uv", "sync", "--quiet", "--locked", "--only-group", "serve", "--no-install-project", env=serving)
    bentoml = str(DEMO / "serving/bin/bentoml")
    run(bentoml, "import", str(PROJECT / f"dist/churn-model-{version}.bento"), env=serving)
    with served(bentoml, f"churn-model:{version}", serving) as address:
        say(f"The sales people's CRM asks about customer {CUSTOMER['customer_id']}")
        ask(f"{address}/predict", {"records": [CUSTOMER]})


@contextmanager
def served(bentoml: str, tag: str, env: dict[str, str]) -> Iterator[str]:
    """Keep the service up for the length of the block; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, command = f"http://127.0.0.1:{port}", [bentoml, "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    show(command)
    with (DEMO / "service.log").open("w") as log:
        service = subprocess.Popen(command, cwd=DEMO, env=ENVIRONMENT | env, stdout=log, stderr=log)
        try:
            wait_ready(service, address)
            yield address
        finally:
            service.terminate()
            service.wait(20)


def wait_ready(service: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the service says that it is ready."""
    for _ in range(120):
        if service.poll() is not None:
            sys.exit("error: the service ended; demo/service.log says why")
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=1):
                return
        except OSError:
            time.sleep(0.5)
    sys.exit("error: the service was not ready within a minute; demo/service.log says why")


def ask(url: str, body: dict[str, object]) -> None:
    """POST to the service and show what it answers."""
    text = json.dumps(body)
    show(["curl", url, "--json", f"'{text}'"])
    request = urllib.request.Request(url, data=text.encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(f"{BOLD}{answer.read().decode()}{PLAIN}", flush=True)
    except urllib.error.HTTPError as error:
        sys.exit(f"error: the service answered {error.code}: {error.read().decode()}")


def commit(message: str) -> None:
    """Commit all that changed."""
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", message)


def edit(name: str, old: str, new: str) -> None:
    """Change a file the way a person would in the editor, and show it."""
    file = PROJECT / name
    text = file.read_text()
    if old not in text:
        sys.exit(f"error: {name} has no line {old!r}: mend tests/demo.py")
    file.write_text(text.replace(old, new, 1))
    print(f"{DIM}  {name}:{PLAIN} {old}  →  {new}", flush=True)


def say(what: str) -> None:
    """Narrate."""
    print(f"\n{BOLD}{what}{PLAIN} {DIM}({time.monotonic() - STARTED:.0f} s){PLAIN}", flush=True)


def show(command: list[str]) -> None:
    """Print a command as one would type it."""
    words = [word.replace(sys.executable, "python").replace(f"{ROOT}/", "").replace(str(ROOT), ".") for word in command]
    print(f"{DIM}$ {' '.join(words)}{PLAIN}", flush=True)


def run(*command: str, cwd: Path = PROJECT, env: dict[str, str] | None = None, quietly: bool = False) -> None:
    """Show a command and run it; its own output is the progress."""
    if not quietly:
        show(list(command))
    subprocess.run(command, cwd=cwd, env=ENVIRONMENT | (env or {}), check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
