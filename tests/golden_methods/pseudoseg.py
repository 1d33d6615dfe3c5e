"""PseudoSeg's class activation maps, their attention, the fused labels, and the loss on the strong predictions."""

import torch
from builders import build_model, head_config

from mmseg_allspark.labels import PseudoLabel, equalize_logits, fuse_predictions
from mmseg_allspark.methods.pseudoseg import Predictions
from mmseg_allspark.utils.resizing import resize_nearest

SIZE = (33, 33)


def nchw(array):
    return torch.from_numpy(array).movedim(-1, 1)


def model_of(data):
    """The released weights; attention takes the deepest level first."""
    model = build_model(
        type="PseudoSegSegmentor",
        neck=None,
        decode_head=head_config(num_classes=5, align_corners=True),
        attention=dict(in_channels=(8, 6), dim=16),
    )
    tensors = {name: torch.from_numpy(values) for name, values in data.items()}
    state = {
        "image_head.fc.weight": tensors["class_weight"].T,
        "image_head.fc.bias": tensors["class_bias"],
        "attention.bias": tensors["pixel_normalization/BatchNorm/beta"],
        "attention.mix.weight": tensors["pixel_normalization/weights"].permute(3, 2, 0, 1),
    }
    for name in ("key", "query"):
        state[f"attention.{name}.weight"] = tensors[f"hyper_column/{name}/weights"].permute(3, 2, 0, 1)
    _, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(
        dict(model.named_parameters())[name].shape == part.shape for name, part in state.items()
    )
    return model.eval()


def labels_and_loss(data):
    model, feats = model_of(data), [nchw(data["feat15"]), nchw(data["feat16"])]
    present, valid = torch.from_numpy(data["image_label"]), torch.from_numpy(data["valid_input"]).bool()
    decoded, strong = nchw(data["decoder_logits"]), nchw(data["strong_logits"]).clone().requires_grad_()
    yield "logits of the image", model.image_head(feats[1]), data["logits_cls"]
    activation = model.image_head.activation(feats[1], present)
    yield "class activation maps", activation, nchw(data["cam"])[:, 1:]
    yield "background's map", 1 - activation.amax(dim=1), data["cam"][..., 0]
    spread = model.spread_maps(feats, present, valid)
    yield "logits of the spread maps", spread, nchw(data["att_logits"])
    predictions = Predictions(decoded, spread)
    yield "equalized logits", equalize_logits(torch.stack(predictions)).flatten(0, 1), nchw(data["all_scaled"])
    yield "mean of both", fuse_predictions(predictions, temperature=1.0).softmax(dim=1), nchw(data["prob_fused"])
    fused = model.fuse(predictions)
    yield "sharpened mean", fused.softmax(dim=1), nchw(data["prob_sharp"])
    yield "valid pixels", resize_nearest(valid, (9, 9)), data["valid_small"][..., 0]
    pseudo = model.make_pseudo_label(resize_nearest(fused, SIZE), valid)
    assert isinstance(pseudo, PseudoLabel) and pseudo.label.shape[1:] == SIZE
    loss = model.pseudo_label_loss(strong, pseudo)
    yield "loss", loss, data["loss"]
    loss.backward()
    yield "gradient", strong.grad, nchw(data["grad_strong"])


GROUPS = dict(init=labels_and_loss)  # weights have a group's name, and everything else goes along
