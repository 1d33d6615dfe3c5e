"""When figures go into the log, and how those of classes are written."""

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


def is_logging_step(runner: Runner, batch_idx: int) -> bool:
    """Whether the runner's ``LoggerHook`` prints after this iteration.

    Args:
        runner: The runner.
        batch_idx: Index of the iteration within the epoch.

    Returns:
        True at the hook's interval and, as the hook does it, at the end of an epoch that is not longer than the
        interval; False without a ``LoggerHook``.
    """
    loader = runner.train_dataloader
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            log_last = not hook.ignore_last or len(loader) <= hook.interval
            last = log_last and hook.end_of_epoch(loader, batch_idx)
            return last or hook.every_n_inner_iters(batch_idx, hook.interval)
    return False


def class_names(runner: Runner, number: int) -> list[str]:
    """Names of the classes, or their numbers where the data set names none."""
    names = (runner.visualizer.dataset_meta or {}).get("classes")
    return list(names or map(str, range(number)))


def per_class(names: list[str], values: list[float], form: str) -> str:
    """Format one number per class, e.g. ``sky 0.31, road 0.24``, leaving out zeros and NaN.

    Args:
        names: Class names.
        values: One value per class.
        form: Format specification of a value.

    Returns:
        The text; ``'none'`` when all are zero.
    """
    parts = [f"{name} {value:{form}}" for name, value in zip(names, values, strict=True) if value > 0]
    return ", ".join(parts) or "none"
