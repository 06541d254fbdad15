"""Read the package's source: imports, literals, sizes. Nothing is run."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'mmdavpt'


def modules(root: Path = PACKAGE) -> dict[str, ast.Module]:
    """Return the parsed modules below a package folder, by dotted name."""
    parsed = {}
    for path in sorted(root.rglob('*.py')):
        parts = path.relative_to(root.parent).with_suffix('').parts
        name = '.'.join(part for part in parts if part != '__init__')
        parsed[name] = ast.parse(path.read_text(), filename=str(path))
        parsed[name].is_package = path.name == '__init__.py'
    return parsed


def imports(name: str, tree: ast.Module) -> set[str]:
    """Return the absolute names of all modules that a module imports.

    ``from a import b`` counts as both ``a`` and ``a.b``, since ``b`` may be a
    module. Imports inside functions count too.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(name, tree.is_package, node)
            found.add(base)
            found.update(f'{base}.{alias.name}' for alias in node.names)
    return found


def _absolute(name: str, is_package: bool, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module
    parts = name.split('.')
    parts = parts[: len(parts) - node.level + is_package]
    return '.'.join([*parts, *([node.module] if node.module else [])])


def string_tables(tree: ast.Module, least: int) -> Iterator[tuple[int, set]]:
    """Yield the line and strings of literal collections of many strings.

    ``__all__`` is no table: it lists what the module itself defines.
    """
    exported = {
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(getattr(t, 'id', '') == '__all__' for t in node.targets)
    }
    for node in ast.walk(tree):
        if node in exported:
            continue
        if isinstance(node, ast.Dict):
            items = node.keys
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = node.elts
        else:
            continue
        strings = {
            item.value
            for item in items
            if isinstance(item, ast.Constant) and isinstance(item.value, str)
        }
        if len(strings) >= least:
            yield node.lineno, strings


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def code_lines(path: Path) -> int:
    """Count lines of code: no blank lines, comments or docstrings."""
    source = path.read_text()
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef
        ) or not isinstance(ast.get_docstring(node, clean=False), str):
            continue
        text = node.body[0]
        documented.update(range(text.lineno, text.end_lineno + 1))
    layout = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)
