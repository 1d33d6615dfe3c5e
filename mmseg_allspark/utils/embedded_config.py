"""The config inside a checkpoint, read without running it."""

import ast
import re
import sys
from importlib import import_module
from typing import Any

from mmengine.config import Config

from mmseg_allspark.utils.config_files import walk
from mmseg_allspark.utils.config_types import SCOPES

_OURS = "mmseg_allspark."
# a ``type`` with any other dot would be imported by mmengine's registries
_TYPE = re.compile(rf"(({'|'.join(SCOPES)})\.)?[A-Za-z]\w*")


class EmbeddedConfigError(ValueError):
    """A checkpoint's config is missing or could run code; the message names the file and the way out."""


def read_embedded_config(checkpoint: dict, name: str) -> Config:
    """Build the config that mmengine stored as text in a checkpoint.

    mmengine runs that text as Python. Here it may hold plain values only, modules of ``custom_imports`` and registries
    of ``default_scope`` have to be this package's or imported already, and every ``type`` is a registered name.

    Args:
        checkpoint: Its content.
        name: Of the file, for messages.

    Returns:
        The config.

    Raises:
        EmbeddedConfigError: If there is no config, or it holds more than that.
    """
    remedy = "give the config file as well, on a command line instead of '-'."
    text = (checkpoint.get("message_hub") or {}).get("runtime_info", {}).get("cfg")
    text = text or (checkpoint.get("meta") or {}).get("cfg")
    if not isinstance(text, str) or not text.strip():
        raise EmbeddedConfigError(f"{name} holds no config: {remedy}")
    try:
        values = parse_plain_config(text)
        for module in _imports(values):
            if module.startswith(_OURS):
                import_module(module)
            elif module not in sys.modules:
                raise ValueError(f"it would import {module!r}; in Python, import it first if you know it")
        for kind in [str(part["type"]) for _, part in walk(values) if "type" in part]:
            if not _TYPE.fullmatch(kind):
                raise ValueError(f"type={kind!r} is no name of a registry")
    except (ImportError, ValueError, SyntaxError) as error:
        raise EmbeddedConfigError(f"The config inside {name} was not used ({error}): {remedy}") from error
    return Config(values)


def parse_plain_config(text: str) -> dict[str, Any]:
    """Parse lines ``key = value`` where values are literals and ``dict(...)``, as ``Config.pretty_text`` writes them.

    Args:
        text: The lines.

    Returns:
        The values by key.

    Raises:
        SyntaxError: If it is no Python.
        ValueError: If there is anything else.
    """
    values = {}
    for statement in ast.parse(text).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else ()
        if len(targets) != 1 or not isinstance(targets[0], ast.Name):
            raise ValueError(f"line {statement.lineno} is not of the form key = value")
        try:
            values[targets[0].id] = ast.literal_eval(_LiteralDicts().visit(statement.value))
        except ValueError as error:
            raise ValueError(f"{targets[0].id} in line {statement.lineno} holds more than plain values") from error
    return values


class _LiteralDicts(ast.NodeTransformer):
    """Turns ``dict(a=1)`` and ``dict({'a-b': 1}, c=2)`` into what is a literal."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802 (ast's name)
        self.generic_visit(node)
        names, first = [keyword.arg for keyword in node.keywords], node.args[0] if node.args else ast.Dict([], [])
        if (
            getattr(node.func, "id", None) != "dict"
            or not isinstance(first, ast.Dict)
            or node.args[1:]
            or None in names
        ):
            return node
        keys = [*first.keys, *map(ast.Constant, names)]
        return ast.Dict(keys, [*first.values, *(keyword.value for keyword in node.keywords)])


def _imports(values: dict[str, Any]) -> list[str]:
    names = (values.get("custom_imports") or {}).get("imports") or []
    scope = values.get("default_scope") or "mmseg"  # mmengine imports its registries
    return [f"{scope}.registry", *([names] if isinstance(names, str) else names)]
