"""GuidedMix-Net: options that go together or not, and the model that is left after training."""

import pytest
import torch
from builders import (
    CLASSES,
    build_model,
    head_config,
    loader_config,
    model_config,
    train,
)
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from torch import nn
from trained import CNN, CNN_WIDTHS, write_trained

from mmseg_allspark.inference import make_plain
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

ASPP = dict(type="SplitASPPHead", in_channels=CNN_WIDTHS[-1], in_index=3, dilations=(1, 2))


def guidedmix(**changes):
    return build_model(**dict(type="GuidedMixSegmentor", neck=None) | changes)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (dict(cutmix=dict()), ValueError, "set cutmix=None"),
        (dict(unsup_loss=dict(gamma=1)), KeyError, "model.unsup_loss=.* has no type"),
        (dict(lambda_facto=0.1), TypeError, "lambda_facto"),
        (
            dict(decode_head=head_config(type="SegformerHead")),
            TypeError,
            "type='SegformerHead' is not in two parts.*SplitASPPHead",
        ),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_named(options, error, text):
    with pytest.raises(error, match=text):
        guidedmix(**options)


@pytest.mark.parametrize(("labeled", "unlabeled", "drop_last"), [(1, 2, True), (3, 3, False)])
def test_uneven_batches_are_noticed_at_the_start(data, tmp_path, labeled, unlabeled, drop_last):
    loaders = dict(
        train_dataloader=loader_config(data, "labeled", batch_size=labeled),
        loop=dict(
            max_iters=1,
            unlabeled_dataloader=loader_config(data, "unlabeled", batch_size=unlabeled, drop_last=drop_last),
        ),
    )
    text = f"train_dataloader.batch_size={labeled}, unlabeled_dataloader.batch_size={unlabeled} with 4"
    with pytest.raises(ValueError, match=text):
        train(data, tmp_path, model=model_config(type="GuidedMixSegmentor", neck=None), **loaders)


HEADS = dict(
    ASPPHead=ASPP,
    DeepLabV3PlusHead=ASPP | dict(type="DeepLabV3PlusHead", c1_in_channels=CNN_WIDTHS[0], c1_channels=4),
    SegformerMLPHead=dict(type="SegformerMLPHead", in_channels=CNN_WIDTHS, in_index=[0, 1, 2, 3]),
)


@pytest.mark.parametrize("kind", HEADS)
def test_what_is_left_is_a_plain_model_without_the_mixed_branch(data, tmp_path, kind):
    head = dict(channels=8, num_classes=len(CLASSES), norm_cfg=dict(type="SyncBN")) | HEADS[kind]
    options = dict(type="GuidedMixSegmentor", backbone=CNN, neck=None, decode_head=head)
    folder = write_trained(data, tmp_path, **options)
    checkpoint = load_checkpoint(folder / "iter_2.pth")
    plain, _ = make_plain(Config.fromfile(folder / "config.py"), checkpoint, "x.pth")
    assert type(plain.model) is EncoderDecoder and type(plain.model.decode_head).__name__ == kind
    assert set(plain.state_dict) < set(checkpoint["state_dict"])
    assert {name.split(".")[0] for name in plain.dropped} == {"decode_head_mix", "alignment"}
    assert plain.needs == ({} if kind == "ASPPHead" else dict(mmseg_allspark=(kind,)))
    trained = build_model(alignment=dict(), **options)
    trained = nn.SyncBatchNorm.convert_sync_batchnorm(trained).eval()
    trained.load_state_dict(checkpoint["state_dict"])
    assert trained.decode_head_mix.training_only
    images = torch.randn(2, 3, 65, 65)
    plain_logits = plain.model(images)
    torch.testing.assert_close(plain_logits, trained.decode_head(trained.backbone(images)))
