"""A release with all its papers, made in a project copy as the release command makes it, but for the registry."""

from pathlib import Path

from harness import run
from laptop import Laptop

IMAGE = f"registry.example.invalid/acme/churn-model@sha256:{'a' * 64}"
SCRIPT = """
import json, subprocess, sys
from pathlib import Path
from gitops.release import assets, bento, papers, plan
from gitops import project, tags

version, reason, image, packed = sys.argv[1:]
this, out = project.load(), Path("dist")
known = tags.releases(this)
commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
identity = bento.identity(this)
one = tags.Release(f"{this.name}@v{version}", version, commit, "", reason, identity, image)
lock = Path("dvc.lock").read_bytes()
model = project.locked(lock.decode())[this.model]
prepared = papers.prepare(this, one, known[-1] if known else None)
text, files = papers.write(prepared, image, out)
if packed:
    files.append(bento.build(this, version, {}, out))
facts = {"format": 1, "version": version, "tag": one.tag, "commit": commit, "date": "", "identity": identity}
facts |= {"reason": reason, "image": image, "model_md5": model, "lock_sha256": assets.sha256(lock), "metrics": {}}
(out / "release.json").write_text(json.dumps(facts))
(out / "dvc.lock").write_bytes(lock)
files += [out / "release.json", out / "dvc.lock"]
sums = "".join(f"{assets.digest(file)}  {file.name}\\n" for file in files)
(out / "SHA256SUMS").write_text(sums)
message = tags.message(this, version, reason, identity, image)
subprocess.check_call(["git", "tag", "--annotate", one.tag, "--message", message])
Path("build/notes.md").write_text(text)
"""


def release(project: Laptop, version: str, reason: str, image: str = IMAGE, *, packed: bool = False) -> str:
    """Release what is checked out into dist/ and return the notes; `packed`: with the Bento, which is slow."""
    project.run("git add --all")
    if project.run("git status --porcelain"):
        project.run("git commit --quiet --message release")
    script = project.path.parent / "release.py"
    script.write_text(SCRIPT)
    run("python", script, version, reason, image, "yes" if packed else "", cwd=project.path, env=project.env)
    return project.read("build/notes.md")


def prepare(champion: Path, folder: Path) -> None:
    """Make a project whose `main` is released as 1.0.0, with its data remote; only for copying."""
    made = Laptop(champion, folder)
    made.run("git switch --quiet main", "git branch --quiet --delete case", "python -m gitops store push")
    release(made, "1.0.0", "the first release", packed=True)
    (made.path / ".venv").symlink_to(champion / made.path.name / ".venv")
