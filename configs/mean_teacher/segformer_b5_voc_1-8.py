# Mean Teacher + CutMix on a transformer, PASCAL VOC 2012 original, 183 labeled images, MiT-B5, crop 513, 80 epochs.
# tools/dist_train.sh configs/mean_teacher/segformer_b5_voc_1-8.py 4
# not in the paper
_base_ = "../pseudo_label/segformer_b5_voc_1-8.py"
model = dict(type="MeanTeacherSegmentor")
train_cfg = dict(pseudo_labels_from="ema")
default_hooks = dict(
    # the teacher labels, is evaluated, and is what a checkpoint's state_dict holds
    ema=dict(type="MeanTeacherHook", momentum=0.01, evaluated="teacher"),
)
