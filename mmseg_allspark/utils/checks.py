"""Guards for the public doors: they raise exceptions that give the value and the remedy."""

import functools
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_NOT_CONFIG = ("self", "runner", "dataloader")  # the last two mmengine gives to a loop beside the keys of train_cfg
_LARGEST_INT = 2**31  # more is a slip of the finger, and torch's message about it names nothing


@dataclass(frozen=True)
class Between:
    """Bounds of a number, both allowed, as in ``Annotated[float, Between(0.0, 1.0)]``."""

    low: float
    high: float = math.inf

    def problem(self, value: float) -> str | None:
        """Say what is wrong with a number; None if it is inside."""
        if self.low <= value <= self.high:
            return None
        if self.high == math.inf:
            return f"is too small; it must be at least {self.low}."
        return f"is outside [{self.low}, {self.high}]; choose a value inside."


Count = Annotated[int, Between(0)]
PositiveInt = Annotated[int, Between(1)]
Share = Annotated[float, Between(0.0, 1.0)]
Percent = Annotated[float, Between(0.0, 100.0)]
LossWeight = Annotated[float, Between(0.0, 1e6)]  # a float32 loss times it stays finite


def check_types(init: Callable) -> Callable:
    """Decorate an ``__init__`` whose arguments come from a config: they have to be what its annotations say.

    A list may stand for a tuple, as it does in configs. A bool is no number, a number is no bool; numbers have to be
    finite. ``Literal`` gives the values that are known, ``Annotated`` with :class:`Between` the bounds of a number.
    Arguments in ``**kwargs`` are left to whoever takes them.

    Args:
        init: The ``__init__``, with type annotations.

    Returns:
        It, raising ``TypeError`` with class, argument, value and annotation, or ``ValueError`` with class, argument,
        value and what is allowed, before anything else happens.
    """
    signature = inspect.signature(init)
    owner = init.__qualname__.split(".")[0]
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    takes_any = any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in signature.parameters.values())
    ours = [name for name, entry in signature.parameters.items() if entry.kind not in many and name not in _NOT_CONFIG]

    @functools.wraps(init)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        if not takes_any:
            check_keys(owner, [key for key in kwargs if key not in _NOT_CONFIG], ours)
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:
            given = {}  # Python says it better below, with the name of the class
        annotations = get_type_hints(init, include_extras=True)
        for name in ours:
            if name in given:
                check_value(f"{owner}.{name}", given[name], annotations[name])
        init(self, *args, **kwargs)

    return checked


def check_value(name: str, value: object, annotation: Any) -> None:
    """Raise unless a value is what an annotation says; see :func:`check_types`.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
        annotation: Its type, with ``Literal`` and ``Annotated`` where it is restricted.

    Raises:
        TypeError: With the value and the type that it has to have.
        ValueError: With the value and what is allowed.
    """
    problem = _problem(value, annotation)
    if problem:
        raise ValueError(f"{name}={value!r} {problem}")
    if problem is not None:
        expected = re.sub(
            r"(?:typing\.)?Annotated\[(.*?), Between\(.*?\)\]", r"\1", inspect.formatannotation(annotation)
        )
        expected = expected.replace("float", "finite number").replace("collections.abc.", "")
        raise TypeError(f"{name} must be {expected}, got {value!r} ({type(value).__name__}).")


def _problem(value: object, annotation: Any) -> str | None:
    """Say what is wrong with a value of a config; empty if it has another type, None if it is what it has to be."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        problems = [_problem(value, part) for part in parts]
        return None if None in problems else max(problems)
    if origin is Annotated:
        problem = _problem(value, parts[0])
        return parts[1].problem(value) if problem is None else problem
    if origin is Literal:
        return None if value in parts else f"is not known; use one of {', '.join(map(repr, parts))}."
    if origin is tuple:
        same = isinstance(value, (tuple, list)) and len(value) == len(parts)
        return _first_problem(zip(value, parts, strict=True)) if same else ""
    if origin in (list, Sequence):
        return _first_problem((entry, parts[0]) for entry in value) if isinstance(value, (tuple, list)) else ""
    if origin is Mapping:
        return _first_problem((entry, parts[1]) for entry in value.values()) if isinstance(value, Mapping) else ""
    return None if _has_type(value, origin or annotation) else ""


def _first_problem(entries: Iterable[tuple[object, Any]]) -> str | None:
    return next((problem for entry in entries if (problem := _problem(*entry)) is not None), None)


def _has_type(value: object, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if kind not in (int, float):
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < _LARGEST_INT


def check_keys(name: str, keys: Iterable[str], known: Sequence[str]) -> None:
    """Raise ``TypeError`` on a key that nothing takes, with the one that may be meant.

    Args:
        name: Class or config key shown in the message.
        keys: Those given.
        known: Those that there are.
    """
    unknown = [key for key in keys if key not in known]
    if unknown:
        close = get_close_matches(unknown[0], known, n=1)
        meant = f"; is {close[0]!r} meant? " if close else ". "
        raise TypeError(f"{name} has no key {unknown[0]!r}{meant}It has {', '.join(known)}.")


def check_has_type(name: str, cfg: Mapping) -> None:
    """Raise ``KeyError`` unless the config of a component has a ``type``.

    Args:
        name: Config key shown in the message.
        cfg: The component's config.
    """
    if "type" not in cfg:
        raise KeyError(f"{name}={dict(cfg)} has no type: {name}=dict(type='...', ...) says what to build.")


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``; see :func:`check_value`."""
    check_value(name, value, Literal[tuple(choices)])


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise unless ``value`` is a finite number with ``low <= value <= high``; see :func:`check_value`."""
    check_value(name, value, Annotated[float, Between(low, high)])


def check_positive_int(name: str, value: int) -> None:
    """Raise unless ``value`` is an integer of at least 1; see :func:`check_value`."""
    check_value(name, value, PositiveInt)


def as_size(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    """Turn ``value`` into a (height, width) pair of positive integers.

    Args:
        name: Config key or argument name shown in the message.
        value: One integer (a square) or a pair (height, width).

    Returns:
        The pair (height, width).
    """
    check_value(name, value, PositiveInt | tuple[PositiveInt, PositiveInt])
    return (value, value) if isinstance(value, int) else (value[0], value[1])
