"""Which weights of a checkpoint, whether they fit, and a config's model with them: for whoever uses a trained model."""

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.models import holds_average
from mmseg_allspark.utils.embedded_config import read_embedded_config
from mmseg_allspark.utils.training_only import training_only_names

_INFERENCE = ("backbone.", "neck.", "decode_head.")
WEIGHTS = ("ema", "model")
MEANING = {"ema": "averaged (ema)", "model": "as trained (model)"}


def choose_weights(checkpoint: dict, which: str | None, name: str) -> tuple[dict[str, Tensor], str]:
    """Return the averaged or the trained weights of a checkpoint.

    mmengine's ``EMAHook`` stores the average as ``state_dict`` and the trained weights as ``ema_state_dict``, our
    ``MeanTeacherHook`` the evaluated ones as ``state_dict``.

    Args:
        checkpoint: Its content.
        which: ``'ema'``, ``'model'``, or None: those stored as ``state_dict``.
        name: Of the file, for messages.

    Returns:
        The weights, and which they are.

    Raises:
        ValueError: If the checkpoint does not have them.
    """
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{name} has no state_dict: give a checkpoint that mmengine or tools/publish.py wrote.")
    stored = {key.removeprefix("module."): value for key, value in checkpoint["state_dict"].items()}
    other = checkpoint.get("ema_state_dict") or {}
    trained = {key.removeprefix("module."): value for key, value in other.items() if key.startswith("module.")}
    if not trained:  # publish.py and export.py write down which they kept
        kinds = {(checkpoint.get("meta") or {}).get("weights", "model"): stored}
    elif holds_average(checkpoint):
        kinds = {"ema": stored, "model": trained}
    else:
        kinds = {"model": stored, "ema": trained}
    which = which or next(iter(kinds))
    if which not in kinds:
        raise ValueError(
            f"{name} holds no {which!r} weights, only {next(iter(kinds))!r}: leave --weights out, or give the "
            "checkpoint that training with an EMAHook wrote."
        )
    return kinds[which], which


def load_model(cfg: Config, checkpoint: dict, name: str, which: str | None = None) -> tuple[nn.Module, str]:
    """Build the model of a config and load a checkpoint of it.

    Args:
        cfg: The config; not changed.
        checkpoint: The checkpoint's content.
        name: The checkpoint's file, for messages.
        which: As in :func:`choose_weights`.

    Returns:
        The model, in eval mode, on the CPU, and which weights it has.

    Raises:
        ValueError: If the checkpoint does not have the weights, or they do not fit.
    """
    weights, which = choose_weights(checkpoint, which, name)
    init_default_scope(cfg.get("default_scope", "mmseg"))
    model_cfg = cfg.model.copy()
    model_cfg.pop("pretrained", None)  # replaced anyway
    model_cfg.train_cfg = model_cfg.get("train_cfg") or {}
    model = MODELS.build(model_cfg)
    check_fit(model, weights, name, checkpoint)
    model.load_state_dict(weights, strict=False)
    return model.eval(), which


def check_fit(model: nn.Module, state_dict: dict[str, Tensor], name: str, checkpoint: dict) -> None:
    """Raise unless a checkpoint has every weight that a model infers with, and no other that inference would need.

    mmengine only warns, and what is missing stays random.

    Args:
        model: The model.
        state_dict: The chosen weights.
        name: The checkpoint's file, for messages.
        checkpoint: Its content; the config inside says what of it only training uses.

    Raises:
        ValueError: Naming some of the weights that do not fit.
    """
    wanted = {key: value.shape for key, value in model.state_dict().items()}
    missing = sorted(wanted.keys() - state_dict.keys() - training_only_names(model))
    unknown = [key for key in state_dict if key not in wanted and not key.startswith("auxiliary_head.")]
    own = _model_of_checkpoint(checkpoint, name) if unknown else None
    if own is not None:
        not_needed = training_only_names(own)
        unknown = [key for key in unknown if key not in not_needed]
    changed = [key for key, value in state_dict.items() if key in wanted and value.shape != wanted[key]]
    if not (missing or unknown or changed):
        return
    faults = [f"no {key}" for key in missing[:2]] + [f"{key} is left over" for key in unknown[:2]]
    faults += [f"{key} is {tuple(state_dict[key].shape)} and not {tuple(wanted[key])}" for key in changed[:2]]
    counts = f"{len(missing)} are missing, {len(unknown)} in the checkpoint are unknown"
    counts += f", {len(changed)} have another shape" if changed else ""
    remedy = _say_training_only(unknown, own) if not (missing or changed) else ""
    if not remedy:
        inside = ", or '-' (Python: None), the config inside the checkpoint" if _has_config(checkpoint) else ""
        remedy = f"Give the config it was trained with{inside}."
    raise ValueError(
        f"The checkpoint {name} does not fit the config: the model has {len(wanted)} weights; {counts} "
        f"({', '.join(faults)} ...). {remedy}"
    )


def _say_training_only(unknown: list[str], own: nn.Module | None) -> str:
    """The remedy where all that is too much are parts that a method has added; else nothing.

    Args:
        unknown: Weights of the checkpoint that the model does not have.
        own: The model of the checkpoint's own config, if there is one.
    """
    if own is None or not own.state_dict().keys() >= {*unknown} or any(key.startswith(_INFERENCE) for key in unknown):
        return ""
    return (
        f"If only training needs {unknown[0]}, its module says training_only = True, see docs/add_a_method.md; a model "
        "that infers with it needs its own config, and there is no plain EncoderDecoder for it."
    )


def _has_config(checkpoint: dict) -> bool:
    try:
        return bool(read_embedded_config(checkpoint, ""))
    except (RuntimeError, ValueError):
        return False


def _model_of_checkpoint(checkpoint: dict, name: str) -> nn.Module | None:
    """The model that wrote a checkpoint, to ask its modules what they are; None without a config inside."""
    try:
        return MODELS.build(read_embedded_config(checkpoint, name).model)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # not ours, or of another version
        return None
