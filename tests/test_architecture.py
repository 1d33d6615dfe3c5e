"""The rooms of the package: who may import whom, and the size of a file."""

import ast

import pytest
from builders import ROOT

PACKAGE = ROOT / "mmseg_allspark"
# environment needs nothing
# utils <- models, labels <- methods <- engine; beside them datasets <- report; engine checks data sets and draws
ALLOWED = dict(
    utils={"utils"},
    models={"utils", "models"},
    labels={"utils", "labels"},
    methods={"utils", "models", "labels", "methods"},
    engine={"utils", "models", "labels", "methods", "datasets", "report", "engine"},
    datasets={"environment", "utils", "datasets"},
    report={"utils", "datasets", "report"},
    convert={"utils", "convert"},
    inference={"utils", "models", "methods", "datasets", "inference"},  # for whoever uses a trained model
)
ALL_FILES = sorted(path for path in PACKAGE.rglob("*.py") if ".mim" not in path.parts)
FILES = [path for path in ALL_FILES if path.parent != PACKAGE]  # those in a room


def imported_modules(path):
    """Absolute names of the modules that a file imports."""
    own = ("mmseg_allspark", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = own[: len(own) - node.level + 1] if node.level else ()
            yield ".".join((*base, node.module or "")).rstrip(".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = path.relative_to(PACKAGE).parts[0]
    rooms = {name.split(".")[1] for name in imported_modules(path) if name.startswith("mmseg_allspark.")}
    assert rooms <= ALLOWED[room]


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short_and_nobody_prints(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", None) != "print"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise an exception that names value and remedy"
