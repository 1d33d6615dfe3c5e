"""Train and predict from Python, with the defaults and checks of ``tools/train.py``."""

import importlib.util
import os
import sys
import warnings
from functools import cached_property
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from mmseg_allspark.engine.checkpoint.resume_point import best_checkpoint, find_resume_point
from mmseg_allspark.utils.checks import Between, check_value

if TYPE_CHECKING:
    from mmseg_allspark.inference import SegInferencer

PACKAGE = Path(__file__).resolve().parent
_TRAININGS = count(1)


class Run:
    """A training's results: ``Run("work_dirs/my_data")``, or what :func:`train` returns.

    Args:
        work_dir: Folder that a training has written to.

    Attributes:
        work_dir: The folder.
        report: Its ``report.html``.

    Raises:
        FileNotFoundError: If there is no checkpoint in the folder.
    """

    def __init__(self, work_dir: str | os.PathLike) -> None:
        self.work_dir = Path(work_dir)
        self.report = self.work_dir / "report.html"
        self.checkpoint  # noqa: B018 (an error now, not at the first prediction)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of the best validation where the training kept one, else the last."""
        found = best_checkpoint(self.work_dir) or find_resume_point(self.work_dir).checkpoint
        if found is None:
            raise FileNotFoundError(
                f"{self.work_dir} holds no checkpoint (looked in {Path.cwd()}): give the work directory of a training."
            )
        return Path(found)

    @cached_property
    def model(self) -> "SegInferencer":
        """The trained model; its config is the one inside the checkpoint. Loaded once."""
        from mmseg_allspark.inference import SegInferencer  # not needed for training

        return SegInferencer(None, self.checkpoint)

    def predict(self, images: Any, **options: Any) -> Any:
        """Class numbers, counted from 0, of every pixel.

        Args:
            images: A path, an array (H, W, 3) uint8 in BGR order, a list of these, a folder or a glob.
            **options: Those of a call of ``SegInferencer``, for example ``out_dir="results"`` for painted pictures.

        Returns:
            Labels (H, W), or a list of them where there are several images.
        """
        return self.model(images, **options)["predictions"]


def train(
    config: str | os.PathLike,
    *,
    steps: int | None = None,
    work_dir: str | os.PathLike | None = None,
    resume: bool = False,
    amp: bool = False,
    cfg_options: dict[str, Any] | None = None,
) -> Run:
    """Train a config as ``python tools/train.py`` does, in this process.

    Args:
        config: The config file.
        steps: Iterations; schedule, burn-in, ramp-up, warm-ups and intervals follow in proportion. Default None: as
            the config says.
        work_dir: Folder for logs and results. Default None: that of the config, else ``work_dirs/<config name>``.
        resume: Go on from the last checkpoint in the work directory. Default False.
        amp: Mixed precision, on the CPU in bfloat16. Default False.
        cfg_options: Changes of the config, nested keys with dots. Default None.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If config, data or start weights do not exist.
        TypeError, ValueError: If the config or an option cannot be trained; names key, value and remedy.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f"config={os.fspath(config)!r} is not a file (looked in {Path.cwd()}).")
    check_value("steps", steps, Annotated[int, Between(2, 10**9)] | None)
    tool = _load_tool()
    args = tool.parse_args([os.fspath(config)])
    args.steps, args.amp, args.cfg_options = steps, amp, cfg_options
    args.work_dir = None if work_dir is None else os.fspath(work_dir)
    args.resume = "auto" if resume else None
    shown = warnings.formatwarning
    try:
        with warnings.catch_warnings():  # the tool sets both for its console
            cfg = tool.settle_config(args)
            # mmengine keeps what it knows of a run by this name and the second in which the run began
            cfg.experiment_name = f"{cfg.experiment_name}_{next(_TRAININGS)}"
            tool.run(cfg, args)
    finally:
        warnings.formatwarning = shown
    return Run(cfg.work_dir)


def _load_tool() -> ModuleType:
    """``tools/train.py`` as a module: of an installed package, else of the checkout."""
    folder = next(path for path in (PACKAGE / ".mim/tools", PACKAGE.parent / "tools") if path.is_dir())
    name = f"{__name__}.train_tool"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / "train.py")
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(folder))  # as when it is a script: it imports its neighbours
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(folder))
        sys.modules[name] = module
    return sys.modules[name]
