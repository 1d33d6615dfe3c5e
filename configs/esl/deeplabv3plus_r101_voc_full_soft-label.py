# ESL without contrast, R101-DeepLabV3+, PASCAL VOC 2012 original, 1464 labeled images.
# tools/dist_train.sh configs/esl/deeplabv3plus_r101_voc_full_soft-label.py 4
# paper mIoU 80.41 (ablation of ESL's paper)
_base_ = "deeplabv3plus_r101_voc_full.py"
model = dict(contrast=None)
# the same rates, without the projector
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True, decode_head=dict(lr_mult=10.0))))
