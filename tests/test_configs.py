"""Every config of a model or method of its own at its full size: its numbers fit together and are the release's.

tests/test_config_runs.py trains all of them, small, and compares those of other lists with their leads.
"""

import json
import re
from functools import cache

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import DATASETS, MODELS
from small_configs import CONFIGS, NAMES, SAME

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.models import AllSparkNeck
from mmseg_allspark.utils.config_files import configured_hooks

LEADING = [name for name in NAMES if name not in SAME]
EACH = pytest.mark.parametrize("name", LEADING)
# by default the models of these are built: every small one, and AllSpark with every backbone
USUAL = re.compile(r"resnet18-tiny_synthetic|own-data|^allspark/.*(_voc_1-8\.py|_zoo\.py)")
BUILT = pytest.mark.parametrize(
    "name", [name if USUAL.search(name) else pytest.param(name, marks=pytest.mark.slow) for name in LEADING]
)
PUBLISHED = ("voc", "cityscapes", "coco", "ade20k")
# methods whose release has data settings and a schedule of its own
OWN = (
    "guidedmix/deeplabv3",
    "cps/deeplabv3",
    "fpl/deeplabv3",
    "unimatch_v2/dinov2",
    "esl/deeplabv3",
    "ccvc/deeplabv3",
    "mkd/deeplabv3",
    "u2pl/deeplabv3plus_r101_cityscapes",
    "dgcl/deeplabv3plus_r101_cityscapes",
    "semicvt/deeplabv3plus_r101_cityscapes",
    "ael/deeplabv3",
    "psmt/deeplabv3",
    "pseudoseg/deeplabv3",
)
OWN_PROTOCOL = {name for name in LEADING if name.startswith(OWN)}


@cache
def read(name):
    return Config.fromfile(CONFIGS / name)


def published_data(name):
    return next((data for data in PUBLISHED if re.search(rf"_{data}(-drawn|-aug)?_", name)), None)


def without_weights(cfg):
    """The same config without files to load, and without SyncBN."""
    if isinstance(cfg, dict):
        norm = {"type": "BN"} if cfg.get("type") == "SyncBN" else {}
        kept = {
            key: without_weights(value)
            for key, value in cfg.items()
            if key != "pretrained" and not (key == "init_cfg" and value and "checkpoint" in value)
        }
        return kept | norm
    return [without_weights(value) for value in cfg] if isinstance(cfg, (list, tuple)) else cfg


@cache
def build_text(text):
    model = json.loads(text)
    # shapes are all that is asked for; mmseg's transformers compute numbers when they are built and need real tensors
    with torch.device("meta" if re.match("ResNet|mmpretrain|DINOv2", model["backbone"]["type"]) else "cpu"):
        return MODELS.build(Config(model)._cfg_dict)


def build(name):
    """The model of a config, MiT one block deep a level; configs of one model share it."""
    model = without_weights(read(name).model.to_dict())
    if model["backbone"]["type"].endswith("MixVisionTransformer"):
        model["backbone"]["num_layers"] = [1, 1, 1, 1]
    return build_text(json.dumps(model, sort_keys=True))


@cache
def feature_shape(backbone, crop, level):
    """Channels and size of a backbone's level at the crop, by running it."""
    backbone.eval()
    with torch.no_grad():
        images = torch.zeros(1, 3, *crop, device=next(backbone.parameters()).device)
        return tuple(backbone(images)[level].shape[1:])


def crop_of(loader):
    (size,) = (step["crop_size"] for step in loader.dataset.pipeline if step["type"] == "RandomCrop")
    return tuple(size)


@BUILT
def test_the_neck_fits_backbone_crop_and_classes(name):
    cfg, model = read(name), build(name)
    for key in ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader"):
        if key != "unlabeled_dataloader" or is_semi_supervised(cfg):
            dataset = cfg[key].dataset
            classes = dataset.get("metainfo", {}).get("classes") or DATASETS.get(dataset.type).METAINFO.get("classes")
            assert classes is None or len(classes) == model.decode_head.num_classes, key
    neck = model.neck if model.with_neck else None
    assert isinstance(neck, AllSparkNeck) or not name.startswith("allspark/")
    memory = getattr(neck, "memory", None)
    kinds = {hook["type"] for hook in configured_hooks(cfg)}
    assert ("SemanticMemoryHook" in kinds) == (memory is not None)
    if neck is None:
        return
    assert neck.num_classes == model.decode_head.num_classes
    crop = crop_of(cfg.train_dataloader)
    assert crop == crop_of(cfg.unlabeled_dataloader)
    channels, *size = feature_shape(model.backbone, crop, neck.in_index)
    assert channels == neck.in_channels
    assert memory is None or tuple(size) == memory.size


@BUILT
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
    tenfold = name.startswith(("ael/", "esl/", "stpp/")) or (name.startswith("ccvc/") and "voc" in name)
    same_rate = ("cityscapes" in name or name in OWN_PROTOCOL) and not tenfold
    outside = 1 if same_rate else 10  # as the release; ESL as its paper
    for parameter_name, parameter in trained.items():
        in_backbone = parameter_name.removeprefix("second.").startswith("backbone.")
        multiplier = rates[id(parameter)] / cfg.optim_wrapper.optimizer.lr
        assert multiplier == pytest.approx(1 if in_backbone else outside), parameter_name


# dicts that mmengine and mmseg read by key and never complain about
FREE = {
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg"},
    "env_cfg.mp_cfg": {"mp_start_method", "opencv_num_threads"},
    "env_cfg.dist_cfg": {"backend"},
    "optim_wrapper.paramwise_cfg": {"custom_keys", "norm_decay_mult", "bias_decay_mult", "bypass_duplicate"},
    "model.train_cfg": set(),
    "model.test_cfg": {"mode", "crop_size", "stride", "average"},
}


@EACH
def test_what_no_run_would_complain_about(name):
    """base_batch_size is the labeled batch of the documented number of GPUs: 4 where the paper's data are, else 1."""
    cfg = read(name)
    assert cfg.default_scope == "mmseg" and "mmseg_allspark" in cfg.custom_imports["imports"]
    assert {"NonFiniteHook", "CollapseMonitorHook"} <= {hook["type"] for hook in configured_hooks(cfg)}
    gpus = 8 if "zoo" in name else 4 if published_data(name) else 1
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=gpus * cfg.train_dataloader.batch_size)
    for path, known in FREE.items():
        part = cfg
        for key in path.split("."):
            part = (part or {}).get(key)
        assert set(part or {}) <= known, path


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
    assert crop_of(cfg.train_dataloader) == (expected["crop"],) * 2
    batches = (cfg.train_dataloader.batch_size, cfg.unlabeled_dataloader.batch_size)
    assert batches == (expected["batch"],) * 2
    optimizer = cfg.optim_wrapper.optimizer
    rates = (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay)
    assert rates == ("SGD", expected["lr"], 0.9, 1e-4)
    assert cfg.param_scheduler[0].power == 0.9
    assert cfg.train_cfg.get("max_epochs") == expected["epochs"]
    assert cfg.model.pseudo_label_keys == "batch"
    assert build(name).neck.memory.sync == "rank0"
    assert cfg.default_hooks.semantic_memory == dict(type="SemanticMemoryHook") | expected["warmup"]


@pytest.mark.parametrize("name", [name for name in LEADING if published_data(name) and name not in OWN_PROTOCOL])
def test_schedule_of_a_published_data_set(name):
    """The release's epochs and warm-up wherever its data are used."""
    cfg, expected = read(name), RELEASE[published_data(name)]
    unimatch_coco = name.startswith("unimatch") and "_coco" in name
    assert cfg.train_cfg.max_epochs == (30 if unimatch_coco else expected["epochs"])
    hook = dict(cfg.default_hooks.get("semantic_memory", expected["warmup"]))
    assert hook.items() >= expected["warmup"].items()


def test_cityscapes_has_ohem_and_a_sliding_window():
    for method in ("allspark", "pseudo_label", "supervised"):
        model = read(f"{method}/segformer_b5_cityscapes_1-16.py").model
        loss, test = model.decode_head.loss_decode, model.test_cfg
        assert dict(loss) == dict(type="OhemLoss", thresh=0.7, min_kept=200_000)
        assert (test.mode, tuple(test.crop_size), tuple(test.stride)) == ("slide", (801, 801), (534, 534))


@pytest.mark.parametrize(("data", "batch"), [("voc_1-8", 4), ("cityscapes_1-16", 4), ("coco_1-512", 8)])
@pytest.mark.parametrize("model", ["segformer_b5", "deeplabv3plus_r101"])
def test_supervised_baselines_have_the_batch_and_rate_of_the_release(model, data, batch):
    cfg = read(f"supervised/{model}_{data}.py")
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (batch, 0.001)
    assert cfg.train_cfg.type == "SupervisedLoop" and cfg.train_cfg.max_epochs
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
