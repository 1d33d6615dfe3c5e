"""Guards for the public doors: they raise exceptions that give the value and the remedy."""

from collections.abc import Collection


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
        choices: The values allowed.
    """
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={value!r} is not known; use one of {allowed}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise unless ``value`` is a number with ``low <= value <= high``.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
        low: Smallest value allowed.
        high: Largest value allowed.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__}).")
    if not low <= value <= high:
        raise ValueError(f"{name}={value!r} is outside [{low}, {high}]; choose a value inside.")


def check_positive_int(name: str, value: int) -> None:
    """Raise unless ``value`` is an integer of at least 1.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__}).")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")


def as_size(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    """Turn ``value`` into a (height, width) pair of positive integers.

    Args:
        name: Config key or argument name shown in the message.
        value: One integer (a square) or a pair (height, width).

    Returns:
        The pair (height, width).
    """
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be an integer or a pair (height, width), got {value!r}.")
    for side in pair:
        check_positive_int(name, side)
    return (pair[0], pair[1])
