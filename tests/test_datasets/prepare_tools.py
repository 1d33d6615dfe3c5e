"""What the tests of the preparation tools share."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from builders import ROOT

FOLDER = ROOT / "tools/prepare"


@contextmanager
def load_tool(name: str) -> Iterator[ModuleType]:
    """The tool as a module that worker processes find; its folder is on the path as when it is a script."""
    sys.path.insert(0, str(FOLDER))
    module_name = f"prepare_{name}"
    try:
        spec = importlib.util.spec_from_file_location(module_name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.modules.pop(module_name, None)
        sys.path.remove(str(FOLDER))


def snapshot(root: Path) -> dict[str, tuple]:
    """Everything below a folder: times of change, contents and where links lead."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns,
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }


def run(tool: ModuleType, *arguments: object) -> int:
    """The tool's exit code."""
    return tool.main([str(argument) for argument in arguments])


def write_ids(path: Path, ids: list[str], line: str = "{}") -> Path:
    """A list of one line an id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line.format(i) + "\n" for i in ids))
    return path


def assert_refused(code: int, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    """The tool has failed and its error has these words."""
    message = capsys.readouterr().err
    assert code == 1 and all(word in message for word in words), message
