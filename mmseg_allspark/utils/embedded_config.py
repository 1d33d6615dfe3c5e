"""The config inside a checkpoint, read without running it."""

import ast
import re
import sys
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmseg_allspark.utils.config_types import SCOPES

# a ``type`` with any other dot would be imported by mmengine's registries
_TYPE = re.compile(rf"(({'|'.join(SCOPES)})\.)?[A-Za-z]\w*")


class EmbeddedConfigError(ValueError):
    """A checkpoint's config is missing or could run code; the message names the file and the way out."""


def read_embedded_config(checkpoint: dict, name: str) -> Config:
    """Build the config that mmengine stored as text in a checkpoint.

    mmengine runs that text as Python. Here it may hold plain values only, modules of ``custom_imports`` and registries
    of ``default_scope`` have to be imported already, and every ``type`` is a registered name.

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
            if module not in sys.modules:
                raise ValueError(f"it would import {module!r}; in Python, import it first if you know it")
        for kind in _types(values):
            if not _TYPE.fullmatch(kind):
                raise ValueError(f"type={kind!r} is no name of a registry")
    except (ValueError, SyntaxError) as error:
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
        values[targets[0].id] = _value(statement.value)
    return values


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        items = [_value(argument) for argument in node.args]
        if (
            len(items) > 1
            or not all(isinstance(item, dict) for item in items)
            or None in (k.arg for k in node.keywords)
        ):
            raise ValueError(f"line {node.lineno} is not of the form dict(key=value)")
        return {**(items[0] if items else {}), **{keyword.arg: _value(keyword.value) for keyword in node.keywords}}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {ast.literal_eval(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"line {node.lineno} holds more than plain values") from error


def _imports(values: dict[str, Any]) -> list[str]:
    names = (values.get("custom_imports") or {}).get("imports") or []
    scope = values.get("default_scope") or "mmseg"  # mmengine imports its registries
    return [f"{scope}.registry", *([names] if isinstance(names, str) else names)]


def _types(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "type" in part:
            yield str(part["type"])
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for item in part:
            yield from _types(item)
