"""SemiCVT's streams: what each gives the other, what they label, and what their graphs compare."""

import pytest
import torch
from builders import CROP, build_model, head_config, semi_batch
from small_methods import METHODS

from mmseg_allspark.methods import Step
from mmseg_allspark.methods.passes import pass_teachers
from mmseg_allspark.models import GraphConsistency, ResNetCVT

BACKBONE = METHODS["semicvt"][0]["backbone"]


def semicvt(**changes):
    return build_model(**METHODS["semicvt"][0] | dict(neck=None, mask_padding=False, cutmix=None) | changes)


@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 2, 2, 2), (1,) * 4), ((1, 2, 2, 1), (1, 1, 1, 2)), ((1, 2, 1, 1), (1, 1, 2, 4))]
)
def test_both_streams_have_one_size_at_every_stride(strides, dilations):
    backbone = ResNetCVT(
        **{k: v for k, v in BACKBONE.items() if k != "type"} | dict(strides=strides, dilations=dilations)
    )
    with torch.no_grad():
        shallow, cnn, transformer = backbone(torch.randn(2, 3, CROP, CROP))
    assert shallow.shape == (2, 4, 17, 17) and cnn.shape == transformer.shape
    with pytest.raises(ValueError, match="width=15 is no multiple of num_heads=2"):
        ResNetCVT(depth=18, width=15, num_heads=2)


def test_a_stream_learns_from_the_loss_of_the_other():
    model = semicvt()
    logits = model.decode_joint(model.extract_feat(torch.randn(2, 3, CROP, CROP)))[1].logits
    reached = torch.autograd.grad(logits[0].sum(), list(model.parameters()), allow_unused=True)
    names = {name for (name, _), value in zip(model.named_parameters(), reached, strict=True) if value is not None}
    assert any(name.startswith("backbone.transformer.1.attention") for name in names)
    assert not any(name.startswith("decode_head.transformer") for name in names)


def test_the_prediction_and_the_label_are_the_mean_of_both_streams():
    model, images = semicvt().eval(), torch.randn(2, 3, CROP, CROP)
    with torch.no_grad():
        mean, streams = model.decode_joint(model.extract_feat(images))
        torch.testing.assert_close(model(images), mean)
        label = model.label_unlabeled(dict(weak=images)).softmax(1)
        each = [model.upsample(logits, (CROP, CROP)).softmax(1) for logits in streams.logits]
    torch.testing.assert_close(mean, (streams.logits[0] + streams.logits[1]) / 2)
    torch.testing.assert_close(label, (each[0] + each[1]) / 2)


def test_random_graphs_have_no_parameters_and_are_in_the_state():
    graph = GraphConsistency(8, weights="random")
    assert not list(graph.parameters())
    assert set(graph.state_dict()) == {"projection", "bias", "pixels", "classes"}


def test_each_stream_is_compared_with_the_other_of_the_teacher():
    options = dict(backbone=BACKBONE | dict(drop_path=0.0))
    model, teacher, compared = semicvt(**options), semicvt(seed=1, **options), []
    model.graph.forward = lambda student, other: compared.append(other) or student[0].sum() * 0
    batch = semi_batch(model) | dict(step=Step(labelers=(teacher,)))
    model(**batch, mode="loss")
    images = torch.cat([batch["inputs"]["labeled"], batch["inputs"]["weak"]])
    streams = pass_teachers(teacher, Step(), images)[0][1]
    for index, (logits, features) in enumerate(compared):
        torch.testing.assert_close(logits, streams.logits[1 - index][2:])
        torch.testing.assert_close(features, streams.features[1 - index][2:])


def test_another_head_is_named():
    with pytest.raises(TypeError, match="'SegformerMLPHead' has not two streams.*TwoStreamHead"):
        semicvt(decode_head=head_config(in_channels=[4, 32, 32], in_index=[0, 1, 2]))
    with pytest.raises(TypeError, match="model.contrast means nothing"):
        semicvt(contrast=None)
