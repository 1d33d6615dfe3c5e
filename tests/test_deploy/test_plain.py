import pytest
import torch
from builders import CLASSES
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, init_model
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.apis import SegInferencer, choose_weights
from mmseg_allspark.deploy import make_plain
from mmseg_allspark.deploy.publish import to_bytes
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


def test_weights_that_are_not_there(trained):
    _, checkpoint = load(trained)
    del checkpoint["ema_state_dict"]
    assert choose_weights(checkpoint, None, "x")[1] == "model"
    with pytest.raises(ValueError, match=r"x\.pth holds no 'ema' weights, only 'model'"):
        choose_weights(checkpoint, "ema", "x.pth")
    with pytest.raises(ValueError, match="no state_dict"):
        choose_weights(dict(meta={}), None, "x.pth")


def test_nothing_of_training_is_left(trained):
    cfg, checkpoint = load(trained)
    before = cfg.pretty_text
    plain, _ = make_plain(cfg, checkpoint, "x.pth")
    assert cfg.pretty_text == before
    text = plain.cfg.pretty_text
    for word in ("unlabeled", "PseudoLabel", "Semi", "Hook", "optim", "train_dataloader", "alignment", "memory_size"):
        assert word not in text, word
    assert plain.cfg.model.neck.memory is False
    assert {name.split(".")[0] for name in plain.dropped} == {"neck", "alignment"}
    assert not any("memory" in name for name in plain.state_dict)
    assert "mmseg_allspark" in plain.cfg.custom_imports.imports and "AllSparkNeck" in plain.needs


def test_a_checkpoint_of_another_model_is_refused(trained, trained_cnn):
    with pytest.raises(ValueError, match=r"x\.pth does not fit the config"):
        make_plain(load(trained)[0], load(trained_cnn)[1], "x.pth")


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


@pytest.mark.parametrize("neck_key", ["batch", "image"])
def test_what_the_neck_attends_to_is_kept(trained, neck_key):
    cfg, checkpoint = load(trained)
    cfg.model.neck.inference_keys = neck_key
    assert make_plain(cfg, checkpoint, "x.pth")[0].model.neck.inference_keys == neck_key


def test_mmsegs_own_inferencer_runs_an_exported_model(trained, data, tmp_path):
    """With this package imported, as the model is made of its parts; both from files and from the checkpoint alone."""
    from mmseg_allspark.deploy import make_plain

    plain, _ = make_plain(*load(trained), "x.pth")
    meta = dict(cfg=plain.cfg.pretty_text, dataset_meta=plain.dataset_meta)
    write_whole(to_bytes(dict(meta=meta, state_dict=plain.state_dict)), tmp_path / "plain.pth")
    plain.cfg.dump(str(tmp_path / "plain.py"))
    image = str(next((data / "img").glob("*.png")))
    ours = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu")(image)["predictions"]
    for config in (str(tmp_path / "plain.py"), None):
        assert (MMSegInferencer(config, str(tmp_path / "plain.pth"), device="cpu")(image)["predictions"] == ours).all()
