# AllSpark on SAM's ViT-B/16, PASCAL VOC 2012 original, 183 labeled images, crop 512, 80 epochs. Needs mmpretrain:
#   pip install -e '.[mmpretrain]'
# tools/dist_train.sh configs/allspark/sam-b16_voc_1-8.py 4
# Not in the paper (it names SAM as a use), and never run at full size here: rates as usual for fine-tuning a large ViT.
_base_ = "dinov2-b14_voc_1-8.py"
from mmseg_allspark.datasets import semi_pipelines

crop_size = (512, 512)  # 32 x 32 patches of 16
pipelines = semi_pipelines(crop_size, num_classes=21)
train_dataloader = dict(dataset=dict(pipeline=pipelines.labeled))
unlabeled_dataloader = dict(dataset=dict(pipeline=pipelines.unlabeled))
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=16)),
    backbone=dict(
        _delete_=True,
        type="mmpretrain.ViTSAM",
        arch="base",
        img_size=1024,
        patch_size=16,
        out_channels=0,  # SAM's own reduction to 256 channels is left out
        use_abs_pos=True,
        use_rel_pos=True,
        window_size=14,
        out_indices=(2, 5, 8, 11),  # the layers with global attention
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmclassification/v1/vit_sam/vit-base-p16_sam-pre_3rdparty_sa1b-1024px_20230411-2320f9cc.pth",
            prefix="backbone.",
        ),
    ),
    neck=dict(memory_size=(32, 32)),
    test_cfg=dict(crop_size=crop_size, stride=(341, 341)),
)
