"""Which of the project's own source files a command runs: its imports, followed through the syntax trees.

Nothing is imported or executed. Found are imports anywhere in a module (inside functions too), relative ones, and
`importlib.import_module` with a literal name; not found is a name that is computed. What stands under
`if TYPE_CHECKING:` never runs and is left out.
"""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from gitops.shell import CommandError

INTERPRETER = re.compile(r"python(\d(\.\d+)?)?(\.exe)?")
OPERATORS = set("();<>|&\n")
VALUED = {"-W", "-X", "--check-hash-based-pycs"}  # options of `python` that take the next word
UV_VALUED = {  # options of `uv run` that take the next word
    *("--extra", "--no-extra", "--group", "--no-group", "--only-group", "--with", "--with-editable", "--env-file"),
    *(
        "--with-requirements",
        "-w",
        "--python",
        "-p",
        "--package",
        "--project",
        "--directory",
        "--index",
        "--config-file",
    ),
    *("--default-index", "--cache-dir", "--color", "--refresh-package", "--reinstall-package"),
}


def closure(module: str, root: Path) -> list[str]:
    """Return the project's source files that importing a module runs, its packages' `__init__` files included.

    Args:
        module: dotted name such as `serving.service`; what follows a colon (`serving.service:Model`) is ignored.
        root: the project's folder; modules are looked for in it and in `src/` under it.

    Returns:
        sorted POSIX paths relative to `root`.

    Raises:
        CommandError: the project has no such module, or a file is not valid Python.
    """
    root = root.resolve()
    roots = (root, root / "src")
    name = module.partition(":")[0]
    found = list(_files(name, roots))
    if not any(_is(path, name) for path in found):
        raise CommandError(f"there is no module {name} in this project (looked for in src/ and in the project's root)")
    return _names(_follow(found, roots), root)


def of_command(command: str, root: Path, folder: Path, scripts: Mapping[str, str]) -> list[str]:
    """Return the project's source files that a stage's command runs; none where it starts no Python of the project.

    Known are `python -m MODULE`, `python FILE.py`, both behind `uv run`, and the project's own console scripts, each
    also as one of several commands in a line.

    Args:
        command: one command line, as in dvc.yaml with its variables filled in.
        root: the project's folder.
        folder: where the command runs (the stage's `wdir`).
        scripts: `[project.scripts]`: name -> `module:function`.

    Returns:
        sorted POSIX paths relative to `root`.

    Raises:
        CommandError: a file is not valid Python.
    """
    root, folder = root.resolve(), folder.resolve()
    found: set[Path] = set()
    for words in _simple_commands(command):
        kind, what = _entry(words, scripts)
        if kind == "module":
            roots = (folder, root / "src")
            found |= _follow([*_files(what, roots), *_files(f"{what}.__main__", roots)], roots)
        elif kind == "file" and (folder / what).is_file():
            file = (folder / what).resolve()
            found |= _follow([file], (file.parent, root / "src"))
    return _names(found, root)


def undeclared(imported: Sequence[str], deps: Sequence[str], root: Path) -> list[str]:
    """Return which of the imported files no dependency covers; a folder covers all that lies in it.

    A file without a statement, such as an empty `__init__.py`, can't change a result and needs no dependency: it is
    named as soon as it says something.
    """
    declared = {PurePosixPath(dep) for dep in deps}
    open_ = [name for name in imported if not declared & {PurePosixPath(name), *PurePosixPath(name).parents}]
    return [name for name in open_ if _says_something(_tree(root / name))]


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Cut a shell's line at its operators, into words; a line that no shell would read has none."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= OPERATORS:
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that is never closed
        return
    yield words


def _entry(words: list[str], scripts: Mapping[str, str]) -> tuple[str, str]:
    """Return ("module", name) or ("file", path) that a command starts, or ("", "") for another program."""
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words and words[0].startswith("-") and words[0] not in ("-m", "--module"):
            words = words[2 if words[0] in UV_VALUED else 1 :]
        if len(words) > 1 and words[0] in ("-m", "--module"):
            return "module", words[1]
        if words and words[0].endswith(".py"):
            return "file", words[0]
    if words and words[0] in scripts:
        return "module", scripts[words[0]].partition(":")[0]
    for number, word in enumerate(words):  # not only the first: `time python`, `env NAME=1 python`
        if INTERPRETER.fullmatch(PurePosixPath(word).name):
            return _python(words[number + 1 :])
    return "", ""


def _python(words: list[str]) -> tuple[str, str]:
    """Return what `python` with these words runs."""
    rest = iter(words)
    for word in rest:
        if word in VALUED:
            next(rest, None)
        elif re.fullmatch(r"-[A-Zabd-ln-z]*m", word):  # also `-um`, but not `-c`, whose code follows
            return "module", next(rest, "")
        elif re.match(r"-m\w", word):
            return "module", word[2:]
        elif word.startswith("-c") or word == "-":
            return "", ""
        elif not word.startswith("-"):
            return "file", word
    return "", ""


def _follow(start: Sequence[Path], roots: Sequence[Path]) -> set[Path]:
    """Return the files and all that they import, directly or not."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            for name in _imported(path, roots):
                waiting += _files(name, roots)
    return found


def _files(name: str, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield what importing a dotted name runs: the `__init__` of each package on the way, and the module."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    first = [base / parts[0] for base in roots]
    regular = [path for path in first if (path / "__init__.py").is_file() or path.with_suffix(".py").is_file()]
    for top in regular[:1] or first:  # a folder without `__init__` is a package too, where no other has the name
        for length in range(1, len(parts) + 1):
            inner = top.parent.joinpath(*parts[:length])
            if (inner / "__init__.py").is_file():
                yield inner / "__init__.py"
            elif inner.with_suffix(".py").is_file():
                yield inner.with_suffix(".py")
                break


def _is(path: Path, name: str) -> bool:
    """Tell whether a file is the module of this name, and not only a package on the way to it."""
    last = name.rpartition(".")[2]
    return path.name == f"{last}.py" or (path.name == "__init__.py" and path.parent.name == last)


def _imported(path: Path, roots: Sequence[Path]) -> Iterator[str]:
    """Yield the dotted names that a file's imports may load; one that is no module matches no file."""
    package = _package(path, roots)
    tree = _tree(path)
    for node in _running(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                if level and level - 1 > len(package):
                    continue
                parts = [*package[: len(package) - level + 1]] if level else []
                base = ".".join([*parts, *([module] if module else [])])
                yield base
                for alias in names:
                    starred = _all(base, roots) if alias.name == "*" else [alias.name]
                    yield from (f"{base}.{one}" for one in starred)
            case ast.Call(
                ast.Name("__import__") | ast.Attribute(attr="import_module") | ast.Name("import_module"), args
            ):
                if args and isinstance(args[0], ast.Constant) and isinstance(args[0].value, str):
                    name = args[0].value
                    dots = len(name) - len(name.lstrip("."))
                    parts = [*package[: len(package) - dots + 1]] if dots else []
                    yield ".".join([*parts, name.lstrip(".")])


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those which only a type checker reads."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _package(path: Path, roots: Sequence[Path]) -> list[str]:
    """Return the names of the package that a file lies in, from which its relative imports count."""
    inside = [list(path.parent.relative_to(base).parts) for base in roots if path.is_relative_to(base)]
    return min(inside, key=len, default=[])  # `src` under the root is no package


def _all(name: str, roots: Sequence[Path]) -> list[str]:
    """Return what `from NAME import *` names in `__all__`: a package's submodules may be among them."""
    trees = [_tree(path) for path in _files(name, roots) if _is(path, name)]
    values = [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "__all__" in [ast.unparse(target) for target in node.targets]
    ]
    constants = [node.value for value in values for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return [constant for constant in constants if isinstance(constant, str)]


def _says_something(tree: ast.Module) -> bool:
    return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body)


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise CommandError(f"{path.name} is not valid Python{line}: {getattr(error, 'msg', error)}") from None


def _names(paths: set[Path], root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root))
