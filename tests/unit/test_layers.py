"""The import rule of docs/architecture.md: a package imports only packages of rows below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import warden

ROOT = Path(warden.__file__).parent
ROWS: tuple[tuple[str, ...], ...] = (
    ("model", "errors", "undo", "settings", "records", "light", "plainjson", "plainaddress", "loading", "entry"),
    ("kernel",),
    ("plan", "cgroup", "network", "rootfs", "process", "depot", "explain"),
    ("engine",),
    ("protocol",),
    ("client", "server"),
    ("cli", "lxc", "oci"),
)
ROW = {name: height for height, row in enumerate(ROWS) for name in row}
#: The base row's modules build on one another; errors and undo are below model.
BASE = frozenset(ROWS[0])
FREE = frozenset({"testing"})  # fakes and helpers may import anything


def package_of(module: str) -> str:
    """warden.cgroup.tables → cgroup; "" for warden itself."""
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere, also inside functions and under TYPE_CHECKING, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package and node.level == 1 else -(node.level - is_package)]
                base = ".".join([*parents, *([base] if base else [])])
            # `from warden import errors` imports a package below warden, not a name of it
            yield from ((node.lineno, f"{base}.{name.name}" if base == "warden" else base) for name in node.names)


def allowed(importer: str, target: str) -> bool:
    if importer in ("", *FREE) or importer == target:
        return True
    if target not in ROW:
        return target not in FREE  # names of warden/__init__.py, such as __version__; never the fakes
    if importer in BASE and target in BASE:
        return True
    return ROW[target] < ROW[importer]


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    importer = package_of(module)
    return [
        f"{module}:{line} imports {target}"
        for line, target in imported(ast.parse(source), module, is_package=is_package)
        if (target == "warden" or target.startswith("warden.")) and not allowed(importer, package_of(target))
    ]


MODULES = sorted(path for path in ROOT.rglob("*.py") if not path.name.endswith("_pb2.py"))


def module_name(path: Path) -> str:
    parts = ("warden", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_only_from_below(path: Path) -> None:
    assert violations(path.read_text(), module_name(path), is_package=path.name == "__init__.py") == []


def test_every_package_has_a_row() -> None:
    packages = {package_of(module_name(path)) for path in MODULES} - {"", *FREE}
    assert packages <= set(ROW), "give the new package a row here and in docs/architecture.md"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py" and path.parent != ROOT])
def test_package_files_hold_no_logic(path: Path) -> None:
    tree = ast.parse(path.read_text())
    logic = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.If)]
    assert not logic
    assert ast.get_docstring(tree)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import warden.cgroup.tables", "warden.network.links"),  # same row
        ("from warden.engine import engine", "warden.kernel.syscalls"),  # upwards
        ("from warden import engine", "warden.model.spec"),  # by the short form
        ("def f():\n    from warden.server.server import Server", "warden.client.aio"),  # inside a function
        ("if TYPE_CHECKING:\n    from warden.cli import main", "warden.server.server"),  # for types only
        ("from ..engine import engine", "warden.kernel.syscalls"),  # relative
        ("from warden.testing import leaks", "warden.engine.engine"),  # fakes in the product
    ],
)
def test_the_rule_finds_what_it_forbids(source: str, module: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from warden.kernel import syscalls", "warden.cgroup.driver"),
        ("from warden.errors import BadInput", "warden.model.spec"),
        ("from warden import __version__", "warden.cli.service"),
        ("from warden.engine.engine import Engine", "warden.testing.fakes"),
        ("import os, asyncio", "warden.kernel.syscalls"),
        ("from .steps import Step", "warden.plan.container"),
    ],
)
def test_the_rule_allows_what_is_below(source: str, module: str) -> None:
    assert violations(source, module) == []
