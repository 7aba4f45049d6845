"""How small is the image of a release, and how soon is it ready, beside what `bentoml containerize` makes of its Bento?

`python tests/bench/image.py` trains a project, builds its Bento, and builds both images on one Debian base, which
mmdebstrap makes. It needs podman, mmdebstrap and Python 3.11, the version that Debian has, and takes some minutes.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))
if TYPE_CHECKING:
    from containers import Podman
    from laptop import Laptop

BASE = "docker.io/library/python:3.11-slim"  # the name that both ask for
DEBIAN = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--include=python3-pip,python3-venv,ca-certificates",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "locale", "doc")),
    "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs",
    '--customize-hook=rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; ln -s python3 "$1"/usr/bin/python',
    "bookworm",
)
CONTAINERFILE = """FROM scratch
ADD base.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin UV_SYSTEM_CERTS=1 \\
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"""
BENTO = """from pathlib import Path
from gitops.release import bento
from gitops import project
bento.build(project.load(), "1.0.0", {}, Path("dist"))"""
STARTS = 5


def main() -> None:
    """Print one Markdown table."""
    from containers import Podman
    from harness import PYTHON
    from laptop import Laptop, from_template

    if lacking := [tool for tool in ("podman", "mmdebstrap") if not shutil.which(tool)]:
        sys.exit(f"error: {lacking[0]} is missing: apt-get install {lacking[0]}")
    if PYTHON != "3.11":
        sys.exit(f"error: this is Python {PYTHON} and Debian's is 3.11, which both images run: use that")
    with TemporaryDirectory() as folder:
        base = Path(folder)
        from_template(base)
        (base / "debian").mkdir()
        (base / "debian/Containerfile").write_text(CONTAINERFILE)
        laptop = Laptop(base / "trained", base)
        shell(laptop, *DEBIAN, str(base / "debian/base.tar"))
        shell(laptop, "python", "-c", BENTO)
        with Podman(base / "debian") as podman:
            podman("tag", podman.env.pop("BASE_IMAGE"), BASE)
            compare(laptop, podman)


def compare(laptop: "Laptop", podman: "Podman") -> None:
    """Build both images of the one Bento, start each in turn, and print."""
    from gitops.project import load
    from gitops.release import container, image

    os.chdir(laptop.path)
    os.environ |= podman.env
    laptop.env |= podman.env | {"BENTOML_HOME": str(laptop.path / "home"), "BENTOML_DO_NOT_TRACK": "1"}
    bento = Path("dist/churn-model-1.0.0.bento").resolve()
    (laptop.path / "home").mkdir()
    shell(laptop, "bentoml", "import", str(bento))
    theirs = "bentoml containerize churn-model:1.0.0 --backend podman --opt isolation=chroot -t localhost/theirs:1"
    seconds = {
        "`bentoml containerize`": clock(lambda: shell(laptop, *theirs.split())),
        "ours": clock(lambda: image.build(load(), bento, "1.0.0", "0" * 40, "0" * 64, "localhost/ours:1")),
    }
    names = dict(zip(seconds, ("localhost/theirs:1", "localhost/ours:1"), strict=True))
    container.HARDENED = ""  # theirs does not start on a read-only root
    starts: dict[str, list[float]] = {name: [] for name in names}
    sizes: dict[str, float] = {}
    for _ in range(STARTS):
        for name, reference in names.items():
            with container.running(reference) as service:
                starts[name].append(service.wait())
                sizes[name] = service.size()
    print(
        "| image | MB | ratio | seconds to build | seconds to the first 200 of `/readyz` |\n|---|---:|---:|---:|---:|"
    )
    for name, size in sizes.items():
        ratio = size / sizes["`bentoml containerize`"]
        print(f"| {name} | {size:,.0f} | {ratio:.2f} | {seconds[name]:.0f} | {statistics.median(starts[name]):.1f} |")


def clock(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def shell(laptop: "Laptop", *argv: str) -> None:
    from harness import run

    run(*argv, cwd=laptop.path, env=laptop.env, timeout=1200)


if __name__ == "__main__":
    main()
