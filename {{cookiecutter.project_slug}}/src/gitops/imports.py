"""Which files of `src/` a module imports."""

import ast
from pathlib import Path

from gitops.shell import Stop


def closure(module: str, root: Path) -> list[str]:
    """Return the files below `src/` that importing `module` reads, relative to `root`, itself first.

    Raises:
        Stop: there is no such module.
    """
    if not _files(module, root):
        raise Stop(f"there is no module {module} in src/")
    found: dict[str, None] = {}
    waiting = [module]
    while waiting:
        for name in _files(waiting.pop(), root):
            if name not in found:
                found[name] = None
                waiting += _imported(name, root)
    return list(found)


def _files(module: str, root: Path) -> list[str]:
    parts = module.split(".")
    names = [Path("src", *parts[:end], "__init__.py") for end in range(1, len(parts) + 1)]
    names.append(Path("src", *parts).with_suffix(".py"))
    return [name.as_posix() for name in names if (root / name).is_file()]


def _imported(name: str, root: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse((root / name).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found
