import hashlib

import pytest
import torch

from mmseg_allspark.inference import SegInferencer, publish_checkpoint
from mmseg_allspark.inference.publish import scrub
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint


def test_what_is_published(trained, tmp_path):
    done = publish_checkpoint(trained / "iter_2.pth", tmp_path / "new" / "model.pth")
    assert done.path.parent == tmp_path / "new" and list(done.path.parent.iterdir()) == [done.path]
    assert done.path.name == f"model-{hashlib.sha256(done.path.read_bytes()).hexdigest()[:8]}.pth"
    before, after = (load_checkpoint(path) for path in (trained / "iter_2.pth", done.path))
    assert set(after) == {"meta", "state_dict"}
    assert after["state_dict"].keys() == before["state_dict"].keys()
    assert all(torch.equal(value, before["state_dict"][name]) for name, value in after["state_dict"].items())
    assert after["meta"]["dataset_meta"] == before["meta"]["dataset_meta"]
    assert (after["meta"]["iter"], after["meta"]["weights"]) == (2, "ema")
    assert {"optimizer", "message_hub", "ema_state_dict", "param_schedulers", "meta.time"} <= set(done.dropped)
    assert done.path.stat().st_size < 0.6 * (trained / "iter_2.pth").stat().st_size


def test_the_same_content_has_the_same_name(trained, tmp_path):
    paths = [publish_checkpoint(trained / "iter_2.pth", tmp_path / name / "m.pth").path for name in "ab"]
    assert paths[0].name == paths[1].name
    other = publish_checkpoint(trained / "iter_2.pth", tmp_path / "m.pth", "model")
    assert other.weights == "model" and other.path.name != paths[0].name


def test_no_folder_of_this_machine_is_left(trained, tmp_path):
    done = publish_checkpoint(trained / "iter_2.pth", tmp_path / "m.pth")
    meta = torch.load(done.path, weights_only=True)["meta"]
    assert str(trained) in load_checkpoint(trained / "iter_2.pth")["meta"]["cfg"]  # it was there
    assert str(tmp_path.parents[1]) not in str(meta)
    assert done.changed["work_dir"] == "removed"
    assert done.changed["train_dataloader.dataset.ann_file"] == "'labeled.txt'"


def test_what_is_published_infers_and_can_be_published_again(trained, data, tmp_path):
    path = publish_checkpoint(trained / "iter_2.pth", tmp_path / "m.pth").path
    image = str(next((data / "img").glob("*.png")))
    labels = [SegInferencer(None, name, device="cpu")(image)["predictions"] for name in (path, trained / "iter_2.pth")]
    assert (labels[0] == labels[1]).all()
    again = publish_checkpoint(path, tmp_path / "again.pth")
    assert (again.weights, again.dropped, again.changed) == ("ema", [], {})
    with pytest.raises(ValueError, match="holds no 'model' weights"):
        publish_checkpoint(path, tmp_path / "again.pth", "model")
    with pytest.raises(ValueError, match=r"model: the name of a checkpoint ends in \.pth"):
        publish_checkpoint(path, tmp_path / "model")


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("/home/jane/data/voc", "voc"),
        (r"C:\Users\jane\voc", "voc"),
        ("/home/jane/", "."),
        ("~jane", "."),
        ("https://jane:secret@host/weights.pth", "weights.pth"),
        ("https://host/weights.pth?token=secret", "https://host/weights.pth"),
        ("data/voc", "data/voc"),
    ],
)
def test_paths(value, left):
    values = dict(data=[dict(root=value)])
    changed = scrub(values)
    assert values == dict(data=[dict(root=left)])
    assert changed == ({} if value == left else {"data.0.root": repr(left)})


def test_names_of_classes_stay():
    values = dict(metainfo=dict(classes=["car /truck", "~other"]))
    assert scrub(values) == {} and values["metainfo"]["classes"] == ["car /truck", "~other"]


def test_a_config_that_could_run_code_is_left_out(trained, tmp_path):
    checkpoint = load_checkpoint(trained / "iter_2.pth")
    checkpoint["meta"]["cfg"] = "import os"
    torch.save(checkpoint, tmp_path / "odd.pth")
    done = publish_checkpoint(tmp_path / "odd.pth", tmp_path / "m.pth")
    assert "cfg" not in torch.load(done.path, weights_only=True)["meta"]
    assert any(name.startswith("meta.cfg (line 1") for name in done.dropped)
