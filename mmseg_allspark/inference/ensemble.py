"""All teachers of a training as one model."""

import copy

from mmengine.config import Config

from .models import choose_weights

_PARTS = dict(backbone="backbones", decode_head="heads")


def as_ensemble(cfg: Config, checkpoint: dict, name: str) -> tuple[Config, dict]:
    """Make of a run with several teachers an ``EncoderDecoder`` that gives the mean of their logits.

    Args:
        cfg: The config of the training; not changed.
        checkpoint: Its checkpoint's content; not changed.
        name: The checkpoint's file, for messages.

    Returns:
        Config and checkpoint of the ensemble, from which ``make_plain`` and ``load_model`` make a model; its weights
        are called ``'ema'``.

    Raises:
        ValueError: If the checkpoint has one teacher only, or the model has a neck.
    """
    others = checkpoint.get("other_teachers")
    if not others:
        raise ValueError(
            f"The checkpoint {name} has not several teachers, of which an ensemble could be made: give one that a "
            "training with MeanTeacherHook(num_teachers=2) wrote."
        )
    if cfg.model.get("neck"):
        raise ValueError(
            f"model.neck.type={cfg.model.neck.type!r}: an ensemble of models with a neck is not supported."
        )
    states = [choose_weights(checkpoint, "ema", name)[0]]
    states += [{key.removeprefix("module."): value for key, value in other.items()} for other in others]
    cfg, parts = cfg.copy(), {}
    for part, key in _PARTS.items():
        member = copy.deepcopy(cfg.model[part])
        member.pop("init_cfg", None)
        parts[part] = {"type": f"Ensemble{part.rpartition('_')[2].capitalize()}", key: [member] * len(states)}
    parts["decode_head"]["num_classes"] = cfg.model.decode_head.num_classes
    kept = {key: cfg.model[key] for key in ("data_preprocessor", "train_cfg", "test_cfg") if key in cfg.model}
    cfg.model = dict(type="EncoderDecoder", **parts, **kept)
    state_dict = {
        f"{part}.members.{number}.{key.removeprefix(f'{part}.')}": value
        for number, state in enumerate(states)
        for key, value in state.items()
        for part in _PARTS
        if key.startswith(f"{part}.")
    }
    meta = {key: value for key, value in (checkpoint.get("meta") or {}).items() if key != "cfg"}
    return cfg, dict(meta=dict(meta, weights="ema"), state_dict=state_dict)
