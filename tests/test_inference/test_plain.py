import sys
from types import ModuleType

import pytest
import torch
from builders import CLASSES
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, init_model
from mmseg.models.decode_heads import SegformerHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from torch import nn

from mmseg_allspark.inference import SegInferencer, choose_weights, make_plain
from mmseg_allspark.inference.plain import needed_imports
from mmseg_allspark.inference.publish import to_bytes
from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.utils.files import write_whole
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint


def load(folder):
    return Config.fromfile(folder / "config.py"), load_checkpoint(folder / "iter_2.pth")


def trained_logits(folder, state_dict, images):
    """Of the model as it was trained, memory and all."""
    model = init_model(str(folder / "config.py"), device="cpu")
    model.load_state_dict(state_dict, strict=True)
    with torch.no_grad():
        return model(images, mode="tensor")


@pytest.fixture(params=["trained", "trained_cnn"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("which", ["ema", "model"])
def test_the_same_logits_bit_by_bit(folder, which):
    cfg, checkpoint = load(folder)
    plain, got = make_plain(cfg, checkpoint, "x.pth", which)
    assert got == which
    assert type(plain.model) is EncoderDecoder
    weights = checkpoint["state_dict"]
    if which == "model":
        weights = {name[7:]: value for name, value in checkpoint["ema_state_dict"].items() if name != "steps"}
    for size in ((65, 65), (64, 96), (33, 130)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            assert torch.equal(plain.model(images, mode="tensor"), trained_logits(folder, weights, images))


def test_the_average_is_the_default_and_differs(trained):
    _, checkpoint = load(trained)
    (default, which), (trained_weights, _) = (choose_weights(checkpoint, kind, "x") for kind in (None, "model"))
    assert which == "ema" and default.keys() == trained_weights.keys()
    assert any(not torch.equal(value, trained_weights[name]) for name, value in default.items())
    del checkpoint["ema_state_dict"]
    assert choose_weights(checkpoint, None, "x")[1] == "model"
    with pytest.raises(ValueError, match=r"x\.pth holds no 'ema' weights, only 'model'"):
        choose_weights(checkpoint, "ema", "x.pth")
    with pytest.raises(ValueError, match="no state_dict"):
        choose_weights(dict(meta={}), None, "x.pth")


def test_nothing_of_training_is_left(trained):
    cfg, checkpoint = load(trained)
    cfg.model.neck.inference_keys = "batch"
    before = cfg.pretty_text
    plain, _ = make_plain(cfg, checkpoint, "x.pth")
    assert cfg.pretty_text == before
    text = plain.cfg.pretty_text
    for word in ("unlabeled", "PseudoLabel", "Semi", "Hook", "optim", "train_dataloader", "alignment", "memory_size"):
        assert word not in text, word
    assert plain.cfg.model.neck.memory is False and plain.model.neck.inference_keys == "batch"
    assert {name.split(".")[0] for name in plain.dropped} == {"neck", "alignment"}
    assert not any("memory" in name for name in plain.state_dict)
    assert "mmseg_allspark" in plain.cfg.custom_imports.imports and "AllSparkNeck" in plain.needs["mmseg_allspark"]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_data_sets_of_ours_become_mmsegs(trained, tmp_path, suffix):
    cfg, checkpoint = load(trained)
    for folder, name in (("img", f"a{suffix}"), ("mask", "a.png")):
        (tmp_path / folder).mkdir()
        Image.new("RGB" if folder == "img" else "L", (65, 65)).save(tmp_path / folder / name)
    (tmp_path / "val.txt").write_text("a\n")
    own = dict(type="CamVidDataset", ann_file="val.txt", data_prefix=dict(img_path="img", seg_map_path="mask"))
    pipeline = [*cfg.test_pipeline[:1], dict(type="LoadSegMask", drawn_on="shown"), *cfg.test_pipeline[-1:]]
    cfg.test_dataloader.dataset = dict(own, data_root=str(tmp_path), pipeline=pipeline)
    dataset = make_plain(cfg, checkpoint, "x.pth")[0].cfg.test_dataloader.dataset
    kinds = [dataset.type, *(step.type for step in dataset.pipeline)]
    assert kinds == ["BaseSegDataset", "LoadImageFromFile", "LoadAnnotations", "PackSegInputs"]
    ours, mmsegs = (DATASETS.build(config) for config in (cfg.test_dataloader.dataset, dataset))
    assert mmsegs.metainfo["classes"] == CLASSES  # the checkpoint's word
    assert len(mmsegs) == 1 and torch.equal(ours[0]["inputs"], mmsegs[0]["inputs"])
    assert torch.equal(*(each[0]["data_samples"].gt_sem_seg.data for each in (ours, mmsegs)))


def test_mmsegs_own_inferencer_runs_an_exported_model(trained, data, tmp_path):
    """With this package imported, as the model is made of its parts; both from files and from the checkpoint alone."""
    plain, _ = make_plain(*load(trained), "x.pth")
    meta = dict(cfg=plain.cfg.pretty_text, dataset_meta=plain.dataset_meta)
    write_whole(to_bytes(dict(meta=meta, state_dict=plain.state_dict)), tmp_path / "plain.pth")
    plain.cfg.dump(str(tmp_path / "plain.py"))
    image = str(next((data / "img").glob("*.png")))
    ours = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu")(image)["predictions"]
    for config in (str(tmp_path / "plain.py"), None):
        assert (MMSegInferencer(config, str(tmp_path / "plain.pth"), device="cpu")(image)["predictions"] == ours).all()


class ShareSegmentor(SemiSegmentor):
    """A method outside of this package, with state of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.register_buffer("class_share", torch.full((self.num_classes,), 1 / self.num_classes))


class MixHeadSegmentor(ShareSegmentor):
    def __init__(self, declared=False, **kwargs):
        super().__init__(**kwargs)
        self.mix_head = nn.Conv2d(1, 1, 1)
        self.mix_head.training_only = declared


class TwoScaleHead(SegformerHead):
    pass


@pytest.fixture
def outside(monkeypatch):
    """Classes as if from the modules ``soft_label`` (methods) and ``two_scale.heads``, imported already."""
    homes = {ShareSegmentor: "soft_label", MixHeadSegmentor: "soft_label", TwoScaleHead: "two_scale.heads"}
    for kind, module in homes.items():
        monkeypatch.setattr(kind, "__module__", module)
        monkeypatch.setitem(MODELS.module_dict, kind.__name__, kind)
        for name in (module, module.partition(".")[0]):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))


def as_method(folder, imports, **model):
    """Config and checkpoint as training with another model, and a readable config inside, writes them."""
    cfg, checkpoint = load(folder)
    cfg.model.update(model)
    cfg.custom_imports = dict(imports=imports, allow_failed_imports=False)
    own = MODELS.build(cfg.model).state_dict()
    checkpoint["state_dict"] = own | checkpoint["state_dict"]
    checkpoint["message_hub"]["runtime_info"]["cfg"] = cfg.pretty_text
    return cfg, checkpoint


def test_a_part_of_a_method_says_that_only_training_needs_it(trained_cnn, outside):
    cfg, checkpoint = as_method(trained_cnn, ["soft_label"], type="MixHeadSegmentor", declared=True)
    assert {"mix_head.weight", "class_share"} <= {*make_plain(cfg, checkpoint, "x.pth")[0].dropped}
    cfg, checkpoint = as_method(trained_cnn, ["soft_label"], type="MixHeadSegmentor")
    told = r"needs mix_head\.weight, .*training_only = True.*docs/add_a_method\.md"
    with pytest.raises(ValueError, match=told) as error:
        make_plain(cfg, checkpoint, "x.pth")
    assert "Use the config" not in str(error.value)
    checkpoint["state_dict"]["stray.weight"] = torch.zeros(1)  # not of that method
    with pytest.raises(ValueError, match=r"stray \(1 entries.*Use the config that the checkpoint was trained with"):
        make_plain(cfg, checkpoint, "x.pth")


def test_a_method_outside_is_not_imported_by_its_plain_model(trained_cnn, outside):
    cfg, checkpoint = as_method(trained_cnn, ["mmseg_allspark", "soft_label"], type="ShareSegmentor")
    assert "class_share" in checkpoint["state_dict"]  # a tensor on the segmentor itself
    plain, _ = make_plain(cfg, checkpoint, "x.pth")
    assert "custom_imports" not in plain.cfg and plain.needs == {}
    assert "class_share" in plain.dropped and "class_share" not in plain.state_dict


def test_what_the_parts_that_stay_come_from_is_imported(trained_cnn, outside):
    head = dict(load(trained_cnn)[0].model.decode_head, type="TwoScaleHead")
    imports = ["soft_label", "mmseg_allspark", "two_scale"]
    cfg, checkpoint = as_method(trained_cnn, imports, type="ShareSegmentor", decode_head=head)
    plain, _ = make_plain(cfg, checkpoint, "x.pth")
    assert plain.cfg.custom_imports.imports == ["two_scale"]
    assert plain.needs == dict(two_scale=("TwoScaleHead",))
    cfg.test_evaluator = dict(type="NobodyKnows")  # any of them could have it
    plain, _ = make_plain(cfg, checkpoint, "x.pth")
    assert plain.cfg.custom_imports.imports == imports
    assert plain.needs == dict(mmseg_allspark=(), soft_label=(), two_scale=("TwoScaleHead",))


@pytest.mark.parametrize(
    ("imports", "needs", "kept"),
    [
        (["soft_label", "other"], dict(two_scale=("TwoScaleHead",)), ["soft_label", "other"]),
        (["soft_label"], dict(mmseg_allspark=("AllSparkNeck",)), ["mmseg_allspark"]),
        (["soft_label"], dict(mmpretrain=("mmpretrain.ViTSAM",)), []),  # found by the scope of its name
        (
            ["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"],
            dict(mmpretrain=("mmpretrain.ViTSAM",)),
            ["mmseg_allspark.models.backbones.from_mmpretrain"],
        ),
    ],
)
def test_imports_are_kept_for_the_packages_that_are_needed(imports, needs, kept):
    assert needed_imports(imports, needs) == kept
