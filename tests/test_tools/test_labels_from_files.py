"""Labels that tools/infer.py writes are those that another training reads, pixel by pixel."""

import numpy as np
import pytest
import torch
from builders import CLASSES
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_allspark.inference import SegInferencer
from mmseg_allspark.inference.inferencer import label_confidence

OPTIONS = ("--labels", "--confidence")


@pytest.fixture
def images(data, tmp_path):
    """Images whose names are told apart by their folders or suffixes alone."""
    root, files = tmp_path / "images", []
    for number, name in enumerate(("x.png", "x.jpg", "a/x.png", "a/b/c/x.png", "b/c/x.png")):
        files.append(root / name)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(data / f"img/unlabeled{number % 4}.png"))
        Image.fromarray(np.rot90(pixels, number // 4)).save(files[-1])
    return files


def load(out, image):
    steps = [
        dict(type="LoadImage"),
        dict(type="LoadPseudoLabel", folder=f"{out}/labels", confidence_folder=f"{out}/confidence"),
        dict(type="PackSemiInputs"),
    ]
    sample = dict(img_path=str(image), num_classes=len(CLASSES))
    for step in steps:
        sample = TRANSFORMS.build(step)(sample)
    return sample["data_samples"]


def test_training_reads_the_labels_of_every_image_and_their_probabilities(infer, images, trained, tmp_path):
    assert infer(tmp_path / "images", "--recursive", "--out", tmp_path / "out", "--batch-size", 2, *OPTIONS) == 0
    model = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu")
    model.show_progress, labels = False, []
    for image in images:
        sample, expected = load(tmp_path / "out", image), model(str(image), return_datasamples=True)
        probability, label = expected.seg_logits.data.softmax(dim=0).max(dim=0)
        labels.append(sample.pseudo_seg_map.data[0])
        torch.testing.assert_close(labels[-1].long(), label)
        torch.testing.assert_close(sample.pseudo_confidence.data[0], (255 * probability).round().byte())
    assert len({tuple(label.flatten().tolist()) for label in labels}) == len(images)  # none is another's


def test_probabilities_are_those_of_the_largest_logit_at_any_precision():
    logits = torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0)) * 20
    for given, tolerance in ((logits, 1e-6), (logits.half(), 1e-6)):
        sample = SegDataSample(seg_logits=PixelData(data=given))
        expected = given.float().softmax(dim=0).amax(dim=0)
        torch.testing.assert_close(label_confidence(sample), expected, atol=tolerance, rtol=0)
    sigmoid = torch.tensor([[[0.9, 0.4]]])
    sample = SegDataSample(seg_logits=PixelData(data=sigmoid), pred_sem_seg=PixelData(data=(sigmoid > 0.5).float()))
    torch.testing.assert_close(label_confidence(sample), torch.tensor([[0.9, 0.6]]))


def test_what_training_could_not_use_is_refused(infer, images, trained, tmp_path, capsys):
    def says(*arguments, **options):
        with pytest.raises(SystemExit) as error:
            infer(*arguments, "--out", tmp_path / "no", *OPTIONS, **options)
        assert error.value.code == 2 and not (tmp_path / "no").exists()
        return capsys.readouterr().err

    said = says(images[0], images[2])  # one of the two could only be called x.png_2
    assert "a/x.png would be x.png_2.png" in said and "x.png.png, another image's" in said and "--recursive" in said
    cfg = Config.fromfile(trained / "config.py")
    cfg.test_dataloader.dataset.reduce_zero_label = True
    cfg.dump(str(tmp_path / "config.py"))
    own = dict(config=tmp_path / "config.py")
    assert "--label-numbers classes" in says(images[0], **own)
    assert infer(images[0], "--out", tmp_path / "out", "--label-numbers", "classes", *OPTIONS, **own) == 0
