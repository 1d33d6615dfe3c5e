"""AEL's bank of confidences, draws of classes, mixtures and losses."""

import numpy as np
import torch
from builders import ROOT, build_model

from mmseg_allspark.labels import ClassConfidenceBank, ClassCopyPaste, ClassCutMix, PseudoLabel
from mmseg_allspark.labels.class_mixing import choose_partners, paste_classes
from mmseg_allspark.models import OhemLoss

tensor = torch.from_numpy


def bank(data):
    """Class 4 does not occur and decays; the release uses row 0 of its bank."""
    logits, labels, before = tensor(data["logits"]), tensor(data["gt"]), tensor(data["before"])
    now = ClassConfidenceBank(5, momentum=0.0)
    now.update(logits, labels)
    yield "confidence of each class", now.confidence, data["confidence"]
    for row, after in zip(before, data["after_3"], strict=True):
        module = ClassConfidenceBank(5)
        module.confidence.copy_(row)
        for _ in range(3):
            module.update(logits, labels)
        yield "bank after three steps", module.confidence, after


def copypaste(data):
    kept = data["target_classes"].tolist()
    module = ClassCopyPaste(11, exclude=[label for label in range(11) if label not in kept])
    prob = module.preferences(tensor(data["bank"])).softmax(0)
    yield "probability of the classes", prob[kept], data["prob"]
    yield "of the excluded ones", prob.sum() - prob[kept].sum(), torch.tensor(0.0)


def cutmix(data):
    """The released picks depend on two generators; here the draw is such that the picked image comes first."""
    yield "probability of the classes", torch.softmax(1 - tensor(bank_of_draws()), 0), data["prob"]
    label, image = tensor(data["picks_class_image"]).T
    receiving = torch.zeros(20, 20, dtype=torch.bool)  # the images that receive stand in no bank
    shows = torch.cat([receiving, tensor(data["bank_of_images"])[label] == 1], dim=1)
    scores = torch.zeros(shows.shape)
    scores[range(20), 20 + image] = 0.9
    yield "picked images", choose_partners(shows, scores) - 20, image


def bank_of_draws():
    return np.load(ROOT / "tests/golden/methods/ael.npz")["copypaste.bank"]


def paste(data):
    """A source whose labels are all 0 is none; without a pixel of the classes nothing is pasted either."""
    images, sources = tensor(data["images_and_sources"]).chunk(2, dim=1)
    masks, source_masks = tensor(data["labels_and_sources"]).chunk(2, dim=1)
    takes = torch.ones(3, dtype=torch.bool)
    pasted = paste_classes(images, masks, sources, source_masks, tensor(data["classes"]), takes)
    yield from zip(("images", "labels"), pasted, (data["images"], data["labels"]), strict=True)


def box(data):
    """The order of the components is not stored: the draw is such that the released one comes first."""
    pred, mixing = tensor(data["pred"])[None], ClassCutMix(area=0.005)
    for seed in range(4):
        expected = filled(*data[f"class2.seed{seed}"])
        yield "rectangle of a component", mixing.rectangles(pred == 2, 0.9 * expected[None])[0], expected
    yield "rectangle of class 3", mixing.rectangles(pred == 3, torch.zeros(pred.shape))[0], data["mask_class3"]
    torch.manual_seed(0)
    sizes = {size(mixing.rectangles(pred == 4, torch.zeros(pred.shape))[0]) for _ in range(300)}
    random = [filled(*data[f"absent.seed{seed}"].astype(int)) for seed in range(4)] + [tensor(data["mask_too_small"])]
    for rectangle in random:
        nearest = min(sizes, key=lambda ours: abs(np.subtract(ours, size(rectangle))).sum())
        yield "size of a random rectangle", torch.tensor(nearest), torch.tensor(size(rectangle))


def filled(top, left, bottom, right):
    mask = torch.zeros(20, 20)
    mask[top:bottom, left:right] = 1
    return mask


def size(mask):
    return int(mask.any(1).sum()), int(mask.any(0).sum())


def images(data):
    label = tensor(data["logits"]).argmax(1)
    shows = ClassCutMix(bank_area=0.02).shown_classes(label, 5)
    yield "classes of the images", shows.T, data["after"][:, [1, 4]]


def cons(data):
    """Labels of 255 are those below the threshold; the released draws are one map for each class."""
    for name, power in (("weighted", 0.0), ("sampled", 1.0)):
        model = build_model(type="AELSegmentor", neck=None, sampling_power=power)
        model.bank.confidence = tensor(data["bank"])
        label = tensor(data["label"])
        logits = tensor(data["logits"]).requires_grad_()
        draws = tensor(data["draws"]).gather(0, logits.argmax(1))
        loss = model.consistency(logits, labels_of(label, tensor(data["conf"])), draws)
        loss.backward()
        yield f"{name} loss", loss, data[f"{name}.loss"]
        yield f"{name} gradient", logits.grad, data[f"{name}.grad"]


def labels_of(label, confidence):
    """Pseudo labels of five classes with this confidence."""
    known = label != 255
    label = torch.where(known, label, 0)
    prob = ((1 - confidence) / 4)[:, None].repeat(1, 5, 1, 1).scatter_(1, label[:, None], confidence[:, None])
    return PseudoLabel(prob.log(), label, known.float())


def sup(data):
    label = tensor(data["label"])
    for name, kept in (("few", 20), ("many", 100_000)):
        main, auxiliary = (OhemLoss(thresh=0.7, min_kept=kept, loss_weight=weight) for weight in (1.0, 0.4))
        loss = main(tensor(data["logits"]), label) + auxiliary(tensor(data["aux_logits"]), label)
        yield f"{name}: loss with auxiliary head", loss, data[name]


GROUPS = dict(bank=bank, copypaste=copypaste, cutmix=cutmix, paste=paste, box=box, images=images, cons=cons, sup=sup)
