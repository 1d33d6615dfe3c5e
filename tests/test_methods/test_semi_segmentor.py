import pytest
import torch
from builders import CROP, WIDTHS, build_model, head_config, model_config, neck_config, sample_with_mask, semi_batch
from mmseg.registry import MODELS
from torch.nn.functional import cross_entropy, interpolate

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import JointPass, Step


def gradients(model, batch):
    model.zero_grad()
    total, _ = model.parse_losses(model(**batch, mode="loss"))
    total.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def joint_logits(model, batch, view="weak"):
    """Logits of the step at image size, from the parts and in one forward, without a memory."""
    feats = model.backbone(torch.cat([batch["inputs"]["labeled"], batch["inputs"][view]]))
    logits = model.decode_head(model.neck(feats) if model.with_neck else feats)
    return interpolate(logits, size=(CROP, CROP), mode="bilinear", align_corners=False)


def test_losses_are_half_the_mean_over_labeled_and_over_all_unlabeled_pixels():
    model = build_model(neck=None).train()
    batch = semi_batch(model, labeled=2, unlabeled=3)
    labels = model.label_unlabeled(batch["inputs"]).argmax(dim=1)
    losses = model(**batch, mode="loss")
    assert torch.equal(labels, batch["step"].record["pseudo"].label)
    logits = joint_logits(model, batch)
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    sup, unsup = cross_entropy(logits[:2], masks, ignore_index=255), cross_entropy(logits[2:], labels)
    torch.testing.assert_close(losses["sup.decode.loss_ce"], 0.5 * sup)
    torch.testing.assert_close(losses["unsup.decode.loss_ce"], 0.5 * unsup)
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, 0.5 * (sup + unsup))
    assert set(log) == {"loss", "sup.decode.loss_ce", "sup.decode.acc_seg", "unsup.decode.loss_ce"}


def test_weights_of_the_losses():
    losses = []
    for options in (dict(), dict(sup_weight=1.0, unsup_weight=0.1)):
        model = build_model(neck=None, **options).train()
        losses.append(model(**semi_batch(model), mode="loss"))
    torch.testing.assert_close(2 * losses[0]["sup.decode.loss_ce"], losses[1]["sup.decode.loss_ce"])
    torch.testing.assert_close(0.2 * losses[0]["unsup.decode.loss_ce"], losses[1]["unsup.decode.loss_ce"])
    assert losses[0]["sup.decode.acc_seg"] == losses[1]["sup.decode.acc_seg"]  # no loss, not weighted


def test_kept_loss_is_the_mean_over_every_pixel():
    model = build_model(neck=None)
    logits, label, weight = torch.randn(2, 4, 6, 6), torch.randint(0, 4, (2, 6, 6)), torch.rand(2, 6, 6)
    joint = JointPass({}, {}, Step(unsup_scale=0.5), 0, [], logits, PseudoLabel(logits, label, weight))
    loss = model.unsup_losses(joint)["unsup.decode.loss_ce"]
    expected = sum(
        -weight[b, y, x] * logits[b, :, y, x].log_softmax(dim=0)[label[b, y, x]]
        for b in range(2) for y in range(6) for x in range(6)
    )  # fmt: skip
    torch.testing.assert_close(loss, 0.5 * 0.5 * expected / 72)


def test_scale_zero_trains_on_labels_only_but_gives_every_parameter_a_gradient():
    model = build_model(neck=None).eval()  # eval: batch norm does not mix the images
    batch = semi_batch(model, unsup_scale=0.0)
    grads = gradients(model, batch)
    model.zero_grad()
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    (0.5 * cross_entropy(joint_logits(model, batch)[:2], masks, ignore_index=255)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
def test_labelling_leaves_mode_statistics_memory_and_gradients_alone(training):
    model = build_model().train(training)
    model.backbone.layers[0].train(not training)  # as a user who freezes a stage
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model.label_unlabeled(dict(weak=(images := torch.randn(2, 3, CROP, CROP))))
    assert [module.training for module in model.modules()] == modes and len(set(modes)) == 2
    assert not logits.requires_grad
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.eval()
    torch.testing.assert_close(logits, model.encode_decode(images, [dict(img_shape=(CROP, CROP))] * 2))


def test_labelling_keys_reach_the_neck():
    images = torch.randn(3, 3, CROP, CROP)
    by_image, by_batch = (
        build_model(pseudo_label_keys=keys).label_unlabeled(dict(weak=images)) for keys in (None, "batch")
    )
    alone = build_model(pseudo_label_keys="batch").label_unlabeled(dict(weak=images[:1]))
    torch.testing.assert_close(by_image[:1], alone)
    assert not torch.allclose(by_image, by_batch, atol=1e-4)


def test_chosen_view_is_trained_on_and_the_weak_view_labeled():
    weak, strong = (build_model(neck=None, unlabeled_view=view).eval() for view in ("weak", "strong"))
    batch = semi_batch(weak)
    losses = strong(**batch, mode="loss")
    labels = strong.label_unlabeled(batch["inputs"]).argmax(dim=1)
    expected = cross_entropy(joint_logits(strong, batch, "strong")[2:], labels)
    torch.testing.assert_close(losses["unsup.decode.loss_ce"], 0.5 * expected)
    assert losses["unsup.decode.loss_ce"] != weak(**batch, mode="loss")["unsup.decode.loss_ce"]


def test_missing_view_is_named():
    model = build_model(unlabeled_view="stronger")
    with pytest.raises(KeyError, match=r"the view 'stronger'.*\['strong', 'weak'\].*MultiView"):
        model(**semi_batch(model), mode="loss")


def test_cutmix_moves_images_labels_weights_and_logits_together():
    model = build_model(cutmix=dict(prob=1.0), confidence=dict(type="ConfidenceThreshold", threshold=0.5))
    images = torch.randn(2, 3, CROP, CROP)
    pseudo = PseudoLabel(images.repeat(1, 2, 1, 1), images[:, 0].sign().long(), images[:, 0])
    mixed, label = model.mix(dict(weak=images), {}, pseudo, Step())
    assert not torch.equal(mixed, images)
    assert torch.equal(label.logits, mixed.repeat(1, 2, 1, 1))
    assert torch.equal(label.label, mixed[:, 0].sign().long())
    assert torch.equal(label.weight, mixed[:, 0])


def test_alignment_and_class_thresholds_follow_training_only():
    model = build_model(alignment=dict(momentum=0.5), confidence=dict(type="ClassQuantileThreshold", keep=0.2))
    assert len(model.confidence.threshold) == len(model.alignment.labeled_prior) == 4
    batch = semi_batch(model.train())
    model.make_pseudo_label(model.label_unlabeled(batch["inputs"]))
    assert model.alignment.updates == 0
    model(**batch, mode="loss")
    assert model.alignment.updates == 1
    assert not torch.equal(model.confidence.threshold, torch.full((4,), 0.5))
    masks = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]["labeled"]])
    counts = torch.bincount(masks[masks != 255], minlength=4)
    torch.testing.assert_close(model.alignment.labeled_prior, counts / counts.sum())
    assert {"alignment.labeled_prior", "confidence.threshold"} <= set(model.state_dict())


def test_auxiliary_heads_learn_from_the_labeled_images_only():
    auxiliary = dict(type="FCNHead", in_channels=WIDTHS[1], in_index=1, channels=8, num_convs=1, num_classes=4)
    model = build_model(auxiliary_head=auxiliary).eval()
    batch = semi_batch(model)
    losses = model(**batch, mode="loss")
    feats = [level[:2] for level in model.backbone(batch["inputs"]["labeled"])]
    expected = model.auxiliary_head.loss(feats, batch["data_samples"]["labeled"], None)["loss_ce"]
    torch.testing.assert_close(losses["sup.aux.loss_ce"], 0.5 * expected, rtol=1e-4, atol=1e-5)
    assert not any(name.startswith("unsup.aux") for name in losses)


def test_inference_is_that_of_an_encoder_decoder_with_the_same_weights():
    ours = build_model(neck=None).eval()
    theirs = MODELS.build(model_config(type="EncoderDecoder", neck=None)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = [torch.randint(0, 256, (3, 60, 70), dtype=torch.uint8)]
    for call in ("test_step", "val_step"):
        data = dict(inputs=images, data_samples=[sample_with_mask(None)])
        results = []
        for model in (ours, theirs):
            data["data_samples"][0].set_metainfo(dict(ori_shape=(60, 70), img_shape=(60, 70)))
            results.append(getattr(model, call)(data)[0])
        assert torch.equal(results[0].seg_logits.data, results[1].seg_logits.data)
        assert torch.equal(results[0].pred_sem_seg.data, results[1].pred_sem_seg.data)
    torch.testing.assert_close(ours(torch.ones(1, 3, 65, 65)), theirs(torch.ones(1, 3, 65, 65)))


def test_another_neck_gets_no_arguments():
    neck = dict(type="FPN", in_channels=WIDTHS, out_channels=16, num_outs=4)
    model = build_model(neck=neck, decode_head=head_config(in_channels=[16] * 4))
    assert model(**semi_batch(model), mode="loss")["unsup.decode.loss_ce"] > 0


ZOO_HEADS = dict(
    FCNHead=dict(in_channels=WIDTHS[-1], in_index=3, num_convs=1),
    UPerHead=dict(in_channels=WIDTHS, in_index=[0, 1, 2, 3], pool_scales=(1, 2)),
    SegmenterMaskTransformerHead=dict(
        in_channels=WIDTHS[-1], in_index=3, num_layers=1, num_heads=2, embed_dims=32, dropout_ratio=0.0
    ),
    SegformerHead=dict(in_channels=WIDTHS, in_index=[0, 1, 2, 3]),
    ASPPHead=dict(in_channels=WIDTHS[-1], in_index=3, dilations=(1, 2)),
)


@pytest.mark.parametrize("name", ZOO_HEADS)
def test_heads_of_the_zoo(name):
    head = dict(type=name, channels=32, num_classes=4) | ZOO_HEADS[name]
    model = build_model(decode_head=head).train()
    grads = gradients(model, semi_batch(model))
    assert all(torch.isfinite(gradient).all() for gradient in grads.values())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (dict(neck=neck_config(num_classes=3)), "model.neck.num_classes=3 but model.decode_head.num_classes=4"),
        (dict(decode_head=head_config(num_classes=2, out_channels=1, threshold=0.3), neck=None), "out_channels=1"),
    ],
)
def test_contradictory_configs_are_named(changes, text):
    with pytest.raises(ValueError, match=text):
        build_model(**changes)


def test_plain_batch_for_training_is_an_error():
    model = build_model()
    with pytest.raises(TypeError, match="PseudoLabelLoop"):
        model(torch.randn(1, 3, CROP, CROP), [sample_with_mask(None)], mode="loss")
