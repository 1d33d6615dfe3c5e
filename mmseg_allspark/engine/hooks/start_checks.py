"""StartChecksHook: what is checked before the first iteration, so that bad input costs seconds and not a run."""

import os
import zlib

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import nn

from mmseg_allspark.datasets.checks import check_splits, describe_distortion, list_files
from mmseg_allspark.datasets.label_files import check_missing_labels, check_own_labels
from mmseg_allspark.datasets.mask_checks import check_masks
from mmseg_allspark.datasets.setting_checks import LOADER_KEYS, check_classes, check_zero_label
from mmseg_allspark.engine.checkpoint.atomic import AtomicCheckpointHook
from mmseg_allspark.engine.hooks.mean_teacher import MeanTeacherHook
from mmseg_allspark.engine.hooks.semantic_memory import SemanticMemoryHook
from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.models import ClassQueue, SemanticMemory
from mmseg_allspark.utils.wrappers import bare_model

_LABELERS = dict(
    model="the model in training", ema="the model's moving average (teacher)", data="LoadPseudoLabel's files"
)

_RANKS = dict(  # ClassQueue.sync
    rank0="every process has that of the first one",
    gather="every process has the rows of all",
    local="every process has rows of its own",
)


@HOOKS.register_module()
class StartChecksHook(Hook):
    """Checks data, model and settings against each other and logs what is trained how; ``PseudoLabelLoop`` has it.

    Raises:
        ValueError: At the start, if ranks differ in their images, if labeled, unlabeled and validation images overlap,
            if a data set's number of classes is not the model's, if data sets differ in reduce_zero_label, if a method
            is missing, if EMA labels are asked for without an ``EMAHook``, if masks would choose the crops of unlabeled
            images, if two images would have the same label file, or if what a method ``needs`` is not there.
        FileNotFoundError: At the start, if files of images, masks or labels (``LoadPseudoLabel``) are missing.
    """

    priority = "HIGHEST"

    def before_train(self, runner: Runner) -> None:
        """Check, the cheap things first."""
        model, loop = bare_model(runner.model), runner.train_loop
        datasets = dict(labeled=loop.labeled_dataloader.dataset, unlabeled=loop.dataloader.dataset)
        if runner.val_loop is not None:
            datasets["validation"] = runner.val_loop.dataloader.dataset
        _check_ranks(runner, loop)
        if not isinstance(model, SemiSegmentor):
            raise ValueError(
                f"model.type={type(model).__name__} cannot label images: PseudoLabelLoop needs SemiSegmentor or a "
                "method derived from it."
            )
        for name, dataset in datasets.items():
            check_classes(LOADER_KEYS[name], dataset, model.num_classes)
        check_zero_label(runner.cfg, datasets)
        _warn_of_warm_ups(model, runner, loop)
        _check_labeler(model, loop)
        _check_own_statistics(model, runner, loop)
        _check_batches(model, loop)
        _check_pastes(model, runner, loop)
        _log_roles(model, runner, loop)
        _log_memories(model, runner)
        sizes = check_splits(
            datasets["labeled"], datasets["unlabeled"], datasets.get("validation"), allow_overlap=loop.allow_overlap
        )
        _log_sizes(sizes, runner)
        check_own_labels(datasets["unlabeled"])
        check_missing_labels(datasets["unlabeled"])
        if (text := describe_distortion(datasets["unlabeled"])) is not None:
            runner.logger.warning(text)
        check_masks(datasets, runner.logger)


def _check_ranks(runner: Runner, loop: BaseLoop) -> None:
    """Raise on all ranks unless they have the same images and equally many steps: they would wait for each other."""
    if get_world_size() == 1:
        return
    if not any(isinstance(hook, AtomicCheckpointHook) for hook in runner.hooks):
        runner.logger.warning(
            "Checkpoints will hold the buffers of rank 0 only (statistics of batch norm, memories with sync='local'); "
            "resumed runs will not be exact. Set default_hooks.checkpoint.type='AtomicCheckpointHook'."
        )
    own = {}
    for key, loader in dict(train_dataloader=loop.labeled_dataloader, unlabeled_dataloader=loop.dataloader).items():
        own[f"numbers of images in {key}"] = len(loader.dataset)
        names = "\n".join(os.path.basename(files.image) for files in list_files(loader.dataset))
        own[f"images in {key}, or the same in another order (checksums of the names)"] = zlib.crc32(names.encode())
    own["numbers of batches of unlabeled images"] = len(loop.dataloader)
    ranks = all_gather_object(own)
    for what in own:
        values = [rank[what] for rank in ranks]
        if len(set(values)) > 1:
            raise ValueError(
                f"The ranks have different {what}: {values}, from rank 0 on. Every machine needs the same lists and "
                "files; for equally many batches set unlabeled_dataloader.sampler.round_up=True."
            )


def _warn_of_warm_ups(model: nn.Module, runner: Runner, loop: BaseLoop) -> None:
    """Warn of a memory without warm-up, and of a training that ends before unlabeled images or memory are used."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, SemanticMemoryHook)]
    if not hooks and any(isinstance(module, SemanticMemory) for module in model.modules()):
        runner.logger.warning(
            "The model has a semantic memory but the run has no SemanticMemoryHook: there is no warm-up, labeled "
            "images attend to random rows from the first step. Set default_hooks.semantic_memory=dict("
            "type='SemanticMemoryHook', warmup_iters=...)."
        )
    for hook in hooks:
        if not hook.is_warm(loop.max_iters - 1, loop.max_epochs - 1):
            runner.logger.warning(
                f"SemanticMemoryHook.warmup_iters={hook.warmup_iters}, warmup_epochs={hook.warmup_epochs}, but the "
                f"training has {loop.max_iters} iterations: the memory will never be read. Set a shorter warm-up."
            )
    if loop.burn_in_iters + loop.ramp_up_iters >= loop.max_iters:
        learned = "nothing" if loop.burn_in_iters >= loop.max_iters else "nothing at full weight"
        runner.logger.warning(
            f"train_cfg has burn_in_iters={loop.burn_in_iters}, ramp_up_iters={loop.ramp_up_iters}, but the training "
            f"has {loop.max_iters} iterations: {learned} will be learned from unlabeled images. Set them in proportion."
        )


def _log_sizes(sizes: dict[str, int], runner: Runner) -> None:
    """Say how many images there are, and wonder about more labeled than unlabeled ones."""
    runner.logger.info("Data: " + ", ".join(f"{count} {part}" for part, count in sizes.items()) + " images.")
    if sizes["labeled"] > sizes["unlabeled"]:
        runner.logger.warning(
            f"There are more labeled ({sizes['labeled']}) than unlabeled images ({sizes['unlabeled']}); are the lists "
            "of train_dataloader and unlabeled_dataloader the right way round?"
        )


def _describe(model: nn.Module) -> str:
    """A method and its options: a config that inherits from another method's has those too."""
    options = [
        f"neck {type(model.neck).__name__}" if model.with_neck else "no neck",
        f"trained views {', '.join(model.needs.views)}",
    ]
    for name in ("confidence", "alignment", "cutmix"):
        part = getattr(model, name)
        options.append(f"{name} {'off' if part is None else type(part).__name__}")
    return f"{type(model).__name__}, {', '.join(options)}, mask_padding {model.mask_padding}"


def describe_labeler(model: SemiSegmentor, loop: BaseLoop) -> str:
    """Where the labels of unlabeled images come from."""
    return f"{_LABELERS[loop.pseudo_labels_from]}{model.needs.label_source}"


def describe_evaluated(runner: Runner) -> str:
    """Which model is validated, tested and saved as ``state_dict``."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, EMAHook)), None)
    return "the model" if hook is None else f"the {getattr(hook, 'evaluated', 'teacher')} ({type(hook).__name__})"


def _log_roles(model: nn.Module, runner: Runner, loop: BaseLoop) -> None:
    """Say what the method is made of, and which model labels, is validated and is saved."""
    runner.logger.info(f"Method: {_describe(model)}.")
    runner.logger.info(
        f"Pseudo labels come from {describe_labeler(model, loop)}; validated, tested and saved as state_dict, "
        f"which inference and export use: {describe_evaluated(runner)}."
    )


def _log_memories(model: nn.Module, runner: Runner) -> None:
    """Say how large the memories of features are, and what of them each process has."""
    for name, module in model.named_modules():
        if isinstance(module, ClassQueue):
            classes, rows, columns = module.queue.shape
            size = module.queue.numel() * module.queue.element_size() / 1e6
            runner.logger.info(
                f"Memory {name}: {classes} x {rows} rows of {columns} numbers, {size:.1f} MB; sync={module.sync!r}: "
                f"{_RANKS[module.sync]}."
            )


def _check_batches(model: nn.Module, loop: BaseLoop) -> None:
    """Raise if a method pairs labeled with unlabeled images and some step would have more of one kind."""
    if not model.needs.equal_batches:
        return
    batches, images = loop.dataloader.batch_sampler, len(loop.dataloader.dataset)
    labeled, unlabeled = loop.labeled_dataloader.batch_sampler.batch_size, batches.batch_size
    if labeled == unlabeled == batches.smallest_batch:
        return
    raise ValueError(
        f"model.type={type(model).__name__!r} pairs labeled with unlabeled images, but train_dataloader.batch_size="
        f"{labeled}, unlabeled_dataloader.batch_size={unlabeled} with {images} images and drop_last="
        f"{batches.drop_last}: set one batch_size, and unlabeled_dataloader.drop_last=True."
    )


def _check_labeler(model: nn.Module, loop: BaseLoop) -> None:
    """Raise if a method's labels come from another model than it is defined for, or from one that does not exist."""
    wanted = model.needs.labels_from
    if wanted is not None and loop.pseudo_labels_from != wanted:
        raise ValueError(
            f"model.type={type(model).__name__!r} needs train_cfg.pseudo_labels_from={wanted!r}, not "
            f"{loop.pseudo_labels_from!r}."
        )
    found = len(loop.find_labelers(model))  # raises if the average that is to label does not exist
    least, most = model.needs.teachers
    if wanted == "ema" and (found < least or (most is not None and found > most)):
        kind = f"at least {least} teachers" if found < least else f"{most} teacher{'s'[: most != 1]}"
        raise ValueError(
            f"model.type={type(model).__name__!r} is defined for {kind}, but MeanTeacherHook.num_teachers={found}: set "
            f"default_hooks.ema.num_teachers={least if found < least else most}, with type='MeanTeacherHook'."
        )


def _check_own_statistics(model: nn.Module, runner: Runner, loop: BaseLoop) -> None:
    """Raise if a teacher's statistics of batch norm should move by its own passes, but stand still without them."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, MeanTeacherHook)), None)
    if hook is None or hook.ema_model.buffer_mode != "own":
        return
    needs = model.needs
    if not needs.teacher_in_train:
        why = f"model.type={type(model).__name__!r} with these options never passes its teacher in train mode"
    elif loop.burn_in_iters > 0 and not needs.unlabeled_in_burn_in:
        why = f"train_cfg.burn_in_iters={loop.burn_in_iters}: the teacher passes no images until the burn-in ends"
    else:
        return
    raise ValueError(
        f"default_hooks.ema.buffers='own', but {why}, so its statistics of batch norm would stay those of the start: "
        "set default_hooks.ema.buffers='average'."
    )


def _check_pastes(model: nn.Module, runner: Runner, loop: BaseLoop) -> None:
    """Raise if no batch has a second image to paste from, warn if the last one has not."""
    loaders = dict(labeled=loop.labeled_dataloader, unlabeled=loop.dataloader)
    for part, option in model.needs.pastes.items():
        key, batches = LOADER_KEYS[part], loaders[part].batch_sampler
        if batches.most_images < 2:
            raise ValueError(
                f"{key}.batch_size={batches.batch_size} of {len(loaders[part].dataset)} images, but model.{option} "
                f"pastes parts of the batch's other images: use at least 2 per process, or model.{option}=None."
            )
        if batches.smallest_batch < 2:
            runner.logger.warning(
                f"The last batch of each pass over the {part} images has one image, which model.{option} cannot mix "
                f"and batch norm after a pooled image refuses: set {key}.drop_last=True."
            )
