"""Every config that a user can start: it can be read, all it names is registered, and its numbers fit together."""

import inspect
import json
from functools import cache, lru_cache

import pytest
import torch
from builders import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.engine import PseudoLabelLoop
from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.models import AllSparkNeck

CONFIGS = sorted(
    path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.relative_to(ROOT / "configs").parts
)
# those that tools/dev/make_configs.py writes have the model and step of another: tests/test_config_runs.py
NAMES = [str(path.relative_to(ROOT / "configs")) for path in CONFIGS if "make_configs.py" not in path.read_text()]
# methods whose release has data settings and a schedule of its own
OWN_PROTOCOL = {name for name in NAMES if name.startswith("guidedmix/deeplabv3")}


@lru_cache
def read(name):
    return Config.fromfile(ROOT / "configs" / name)


def without_weights(cfg):
    """The same config without files to load, without SyncBN, and one block deep where it is a large transformer."""
    if isinstance(cfg, dict):
        norm = {"type": "BN"} if cfg.get("type") == "SyncBN" else {}
        kept = {
            key: without_weights(value)
            for key, value in cfg.items()
            if key != "pretrained" and not (key == "init_cfg" and value and "checkpoint" in value)
        }
        return kept | norm
    return [without_weights(value) for value in cfg] if isinstance(cfg, (list, tuple)) else cfg


def model_dict(name):
    model = without_weights(read(name).model.to_dict())
    if model["backbone"]["type"].endswith("MixVisionTransformer"):
        model["backbone"]["num_layers"] = [1, 1, 1, 1]
    return model


@cache
def build_text(text):
    model = json.loads(text)
    # shapes are all that is asked for; transformers compute numbers when they are built and need real tensors
    with torch.device("meta" if "ResNet" in model["backbone"]["type"] else "cpu"):
        return MODELS.build(Config(model)._cfg_dict)


def build(name):
    """The model of a config; those of a family, which differ by their lists, share one."""
    return build_text(json.dumps(model_dict(name), sort_keys=True))


def loaders(cfg):
    """All loaders by key."""
    found = {key: cfg[key] for key in ("train_dataloader", "val_dataloader", "test_dataloader") if cfg.get(key)}
    if is_semi_supervised(cfg):
        found["unlabeled_dataloader"] = cfg.unlabeled_dataloader
    return found


def leaf_datasets(dataset):
    """Datasets inside wrappers."""
    if "dataset" in dataset:
        return leaf_datasets(dataset["dataset"])
    return [leaf for part in dataset.get("datasets", []) for leaf in leaf_datasets(part)] or [dataset]


def crops(dataset):
    """Crop sizes (h, w) of a pipeline."""
    sizes = [step["crop_size"] for step in dataset["pipeline"] if step["type"] == "RandomCrop"]
    return {(size, size) if isinstance(size, int) else tuple(size) for size in sizes}


@lru_cache
def feature_size(name, crop, level):
    """Size of a backbone level at the crop, by running it."""
    with torch.no_grad():
        model = build(name).eval()
        images = torch.zeros(1, 3, *crop, device=next(model.parameters()).device)
        return tuple(model.backbone(images)[level].shape[1:])


def test_there_are_configs():
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_header_and_imports(name):
    assert (ROOT / "configs" / name).read_text().startswith("# ")
    assert "mmseg_allspark" in read(name).custom_imports["imports"]
    assert read(name).default_scope == "mmseg"


@pytest.mark.parametrize("name", NAMES)
def test_model_builds_and_its_numbers_fit_together(name):
    model = build(name)
    neck = model.neck if model.with_neck else None
    if not isinstance(neck, AllSparkNeck):
        assert not name.startswith("allspark/")
        return
    assert neck.num_classes == model.decode_head.num_classes
    cfg = read(name)
    (unlabeled,) = leaf_datasets(cfg.unlabeled_dataloader.dataset)
    (labeled,) = leaf_datasets(cfg.train_dataloader.dataset)
    assert crops(unlabeled) == crops(labeled)
    for crop in crops(unlabeled):
        channels, *size = feature_size(name, crop, neck.in_index)
        assert channels == neck.in_channels
        if neck.memory is not None:
            assert tuple(size) == neck.memory.size


@pytest.mark.parametrize("name", NAMES)
def test_data_have_the_classes_of_the_head(name):
    cfg = read(name)
    for key, loader in loaders(cfg).items():
        for dataset in leaf_datasets(loader.dataset):
            kind = DATASETS.get(dataset["type"])
            assert kind is not None, f"{key}: {dataset['type']}"
            known = dataset.get("metainfo", {}).get("classes") or kind.METAINFO.get("classes")
            if known is not None:
                assert len(known) == cfg.model.decode_head.num_classes, key


@pytest.mark.parametrize("name", NAMES)
def test_pipelines_build(name):
    for loader in loaders(read(name)).values():
        for dataset in leaf_datasets(loader.dataset):
            assert [TRANSFORMS.build(step) for step in dataset["pipeline"]]
        assert DATA_SAMPLERS.get(loader.sampler.type) is not None


@pytest.mark.parametrize("name", NAMES)
def test_views_exist(name):
    cfg = read(name)
    if not is_semi_supervised(cfg):
        return
    views = {"weak"}
    for step in leaf_datasets(cfg.unlabeled_dataloader.dataset)[0]["pipeline"]:
        views |= set(step.get("views", ()))
    assert set(build(name).trained_views) <= views


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_runs_is_registered(name):
    cfg = read(name)
    loop = LOOPS.get(cfg.train_cfg.type)
    known = set(inspect.signature(loop).parameters) | {"type"}
    assert set(cfg.train_cfg) <= known, "train_cfg has keys that nobody reads"
    if loop is PseudoLabelLoop:
        method = MODELS.get(cfg.model.type)
        assert issubclass(method, SemiSegmentor)
        assert method.labels_from in (None, cfg.train_cfg.get("pseudo_labels_from", "model"))
    hooks = [hook for hook in cfg.default_hooks.values() if hook] + list(cfg.get("custom_hooks", []))
    for registry, parts in (
        (HOOKS, hooks),
        (LOOPS, [cfg.val_cfg, cfg.test_cfg]),
        (PARAM_SCHEDULERS, cfg.param_scheduler),
        (METRICS, [cfg.val_evaluator, cfg.test_evaluator]),
        (VISUALIZERS, [cfg.visualizer]),
        (OPTIM_WRAPPERS, [cfg.optim_wrapper]),
        (OPTIMIZERS, [cfg.optim_wrapper.optimizer]),
    ):
        for part in parts:
            assert registry.get(part["type"]) is not None, part["type"]
    kinds = [hook["type"] for hook in hooks]
    assert bool({"EMAHook", "MeanTeacherHook"} & {*kinds}) >= (cfg.train_cfg.get("pseudo_labels_from") == "ema")
    neck = cfg.model.get("neck") or {}
    has_memory = neck.get("type") == "AllSparkNeck" and neck.get("memory", True)
    assert ("SemanticMemoryHook" in kinds) == has_memory


@pytest.mark.parametrize("name", NAMES)
def test_nan_and_collapse_are_watched(name):
    """In ``default_hooks``, a dict: child configs replace the list ``custom_hooks`` as a whole."""
    kinds = {hook.type for hook in read(name).default_hooks.values()}
    assert {"NonFiniteHook", "CollapseMonitorHook"} <= kinds


@pytest.mark.parametrize("name", NAMES)
def test_optimizer_takes_every_parameter_at_the_right_rate(name):
    cfg, model = read(name), build(name)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper.copy())
    rates = {id(p): group["lr"] for group in wrapper.param_groups for p in group["params"]}
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {id(p) for p in trained.values()} <= set(rates)
    for pattern in cfg.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {}):
        assert pattern == "neck" or any(pattern in n for n in trained) or "zoo" in name, f"no parameter has {pattern!r}"
    if cfg.optim_wrapper.optimizer.type != "SGD":
        return
    outside = 1 if "cityscapes" in name or name in OWN_PROTOCOL else 10  # as the release
    for parameter_name, parameter in trained.items():
        multiplier = rates[id(parameter)] / cfg.optim_wrapper.optimizer.lr
        assert multiplier == pytest.approx(1 if parameter_name.startswith("backbone.") else outside), parameter_name


RELEASE = dict(
    camvid=dict(crop=257, epochs=None, classes=11, batch=2, lr=0.001, warmup=dict(warmup_iters=75)),
    voc=dict(crop=513, epochs=80, classes=21, batch=2, lr=0.001, warmup=dict(warmup_epochs=5)),
    cityscapes=dict(crop=801, epochs=240, classes=19, batch=2, lr=0.005, warmup=dict(warmup_epochs=15)),
    coco=dict(crop=513, epochs=10, classes=81, batch=4, lr=0.001, warmup=dict(warmup_epochs=1)),
)
LEADS = dict(
    camvid="allspark/segformer_b0_camvid_1-16.py",
    voc="allspark/segformer_b5_voc_1-8.py",
    cityscapes="allspark/segformer_b5_cityscapes_1-16.py",
    coco="allspark/segformer_b5_coco_1-512.py",
)


@pytest.mark.parametrize("data", RELEASE)
def test_paper_configs_are_plain_and_have_the_settings_of_the_release(data):
    name = LEADS[data]
    cfg, expected = read(name), RELEASE[data]
    off = ("confidence", "alignment", "cutmix", "sup_weight", "unsup_weight", "unlabeled_view")
    assert not set(off) & set(cfg.model)
    assert not {"burn_in_iters", "ramp_up_iters", "pseudo_labels_from"} & set(cfg.train_cfg)
    assert cfg.model.decode_head.num_classes == expected["classes"]
    assert crops(cfg.train_dataloader.dataset) == {(expected["crop"],) * 2}
    batches = (cfg.train_dataloader.batch_size, cfg.unlabeled_dataloader.batch_size)
    assert batches == (expected["batch"],) * 2
    optimizer = cfg.optim_wrapper.optimizer
    rates = (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay)
    assert rates == ("SGD", expected["lr"], 0.9, 1e-4)
    assert cfg.param_scheduler[0].power == 0.9
    assert cfg.train_cfg.get("max_epochs") == expected["epochs"]
    assert cfg.model.pseudo_label_keys == "batch"
    assert build(name).neck.memory.sync == "rank0"
    hook = next(hook for hook in cfg.custom_hooks if hook.type == "SemanticMemoryHook")
    assert {key: hook[key] for key in hook if key != "type"} == expected["warmup"]


@pytest.mark.parametrize("name", NAMES)
def test_schedule_of_a_published_data_set(name):
    """The release's epochs and warm-up wherever its data are used."""
    data = next((data for data in ("voc", "cityscapes", "coco") if f"_{data}" in name), None)
    if data is None or name in OWN_PROTOCOL:
        return
    cfg = read(name)
    assert cfg.train_cfg.max_epochs == (
        30 if name.startswith("unimatch") and data == "coco" else RELEASE[data]["epochs"]
    )
    for hook in cfg.get("custom_hooks", []):
        if hook.type == "SemanticMemoryHook":
            assert {key: hook[key] for key in hook if key != "type"} == RELEASE[data]["warmup"]


@pytest.mark.parametrize("name", NAMES)
def test_rate_scales_with_the_batch(name):
    """base_batch_size is the labeled batch of the documented number of GPUs: 4 where the paper's data are, else 1."""
    cfg = read(name)
    gpus = 8 if "zoo" in name else 4 if any(f"_{data}" in name for data in ("voc", "cityscapes", "coco")) else 1
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=gpus * cfg.train_dataloader.batch_size)


# dicts that mmengine and mmseg read by key and never complain about
FREE = {
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg"},
    "env_cfg.mp_cfg": {"mp_start_method", "opencv_num_threads"},
    "env_cfg.dist_cfg": {"backend"},
    "optim_wrapper.paramwise_cfg": {"custom_keys", "norm_decay_mult", "bias_decay_mult", "bypass_duplicate"},
    "model.train_cfg": set(),
    "model.test_cfg": {"mode", "crop_size", "stride"},
}


@pytest.mark.parametrize("name", NAMES)
def test_free_form_keys_are_known(name):
    cfg = read(name)
    for path, known in FREE.items():
        part = cfg
        for key in path.split("."):
            part = (part or {}).get(key)
        assert set(part or {}) <= known, path


def test_cityscapes_has_ohem_and_a_sliding_window():
    for method in ("allspark", "pseudo_label", "supervised"):
        model = read(f"{method}/segformer_b5_cityscapes_1-16.py").model
        loss, test = model.decode_head.loss_decode, model.test_cfg
        assert dict(loss) == dict(type="OhemLoss", thresh=0.7, min_kept=200_000)
        assert (test.mode, tuple(test.crop_size), tuple(test.stride)) == ("slide", (801, 801), (534, 534))


@pytest.mark.parametrize(
    ("data", "batch", "lr"), [("voc_1-8", 4, 0.001), ("cityscapes_1-16", 4, 0.001), ("coco_1-512", 8, 0.001)]
)
@pytest.mark.parametrize("model", ["segformer_b5", "deeplabv3plus_r101"])
def test_supervised_baselines_have_the_batch_and_rate_of_the_release(model, data, batch, lr):
    cfg = read(f"supervised/{model}_{data}.py")
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (batch, lr)
    assert cfg.auto_scale_lr.base_batch_size == 4 * batch
    assert cfg.train_cfg.type == "EpochBasedTrainLoop"
    assert cfg.train_dataloader.sampler.type == "DefaultSampler"  # an epoch ends


def test_ablation_rows_differ_from_the_whole_in_one_option_each():
    whole = read("allspark/segformer_b5_voc_1-8.py").model.neck
    without_grouping = read("allspark/segformer_b5_voc_1-8_memory.py").model.neck
    cross_attention = read("allspark/segformer_b5_voc_1-8_cross-attention.py").model.neck
    assert dict(without_grouping) == dict(whole, grouping=False)
    assert dict(cross_attention) == dict(whole, memory=False, memory_size=None)
    baseline = read("pseudo_label/segformer_b5_voc_1-8.py").model
    assert baseline.get("neck") is None
    assert baseline.type == "SemiSegmentor"


def test_zoo_config_needs_at_most_15_lines():
    lines = (ROOT / "configs/allspark/upernet_swin-t_zoo.py").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 15
