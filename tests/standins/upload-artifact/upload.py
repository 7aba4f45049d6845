"""Copy as actions/upload-artifact does: a name is taken once, hidden files stay out, the common folder is the root."""

import os
import shutil
import sys
from pathlib import Path

target = Path(os.environ["ACT_ARTIFACTS"], os.environ["NAME"])
if target.exists():
    sys.exit(f"::error::an artifact with the name {target.name} already exists")
found = [hit.resolve() for line in os.environ["FROM"].split("\n") if line.strip() for hit in Path().glob(line.strip())]
inside = [path for hit in found for path in (hit.rglob("*") if hit.is_dir() else [hit]) if path.is_file()]
root = (
    found[0]
    if len(found) == 1 and found[0].is_dir()
    else Path(os.path.commonpath([path.parent for path in inside] or [Path()]))
)
files = [
    path
    for path in inside
    if os.environ["HIDDEN"] == "true" or not any(part.startswith(".") for part in path.relative_to(root).parts)
]
if not files:
    print(f"No files were found with the path {os.environ['FROM']}")
    sys.exit(os.environ["EMPTY"] == "error")
for path in files:
    copy = target / path.relative_to(root)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
print(f"{len(files)} files uploaded as {target.name}")
