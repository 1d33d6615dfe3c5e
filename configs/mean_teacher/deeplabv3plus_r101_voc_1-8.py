# Mean Teacher + CutMix, PASCAL VOC 2012 original, 183 labeled images, R101-DeepLabV3+, crop 321, 80 epochs.
# tools/dist_train.sh configs/mean_teacher/deeplabv3plus_r101_voc_1-8.py 4
# not in the paper
# The method is CutMix-Seg's, network and schedule are those of the other configs here (there: DeepLabV2, Adam).
_base_ = [
    "../_base_/models/deeplabv3plus_r101.py",
    "../_base_/datasets/voc2012_crop-321.py",
    "../_base_/schedules/sgd_poly_voc_80e.py",
    "../_base_/default_runtime.py",
]
model = dict(type="MeanTeacherSegmentor", decode_head=dict(num_classes=21))
train_cfg = dict(type="PseudoLabelLoop", max_epochs=_base_.max_epochs, pseudo_labels_from="ema")
default_hooks = dict(
    # the teacher labels, is evaluated, and is what a checkpoint's state_dict holds
    ema=dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"),
)
