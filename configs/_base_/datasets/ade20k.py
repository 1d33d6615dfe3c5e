# ADE20K (ADEChallengeData2016), 150 classes, ids in splits/ade20k/<name>/{labeled,unlabeled}.txt; images and masks as
# they are distributed, in images/{training,validation} and annotations/{training,validation}.
# Names: 1_64, 1_32, 1_16, 1_8, 1_4. The lists are those of github.com/LiheYoung/UniMatch-V2; of each line the id is
# kept, here of SRC/splits/ade20k/1_16/labeled.txt:
#   sed -E 's/.*(ADE_train_[0-9]+).*/\1/' SRC/splits/ade20k/1_16/labeled.txt > splits/ade20k/1_16/labeled.txt
# Lists of an own draw, which are not the published ones:
#   python tools/prepare/splits.py make --ids data/ade/ADEChallengeData2016/images/training \
#     --out data/ade/ADEChallengeData2016 --group ade20k --fractions 1/64 1/32 1/16 1/8 1/4
# Another split, crop or folder: docs/configs.md
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

data_root = "data/ade/ADEChallengeData2016"
crop_size = (518, 518)  # (h, w)
pipelines = semi_pipelines(crop_size, num_classes=150)
# the data set turns label 0, which has no class, into 255 and shifts the others to 0..149
dataset = dict(
    type="ADE20KDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
)
train_dataloader = dict(dataset=dict(dataset, ann_file="splits/ade20k/1_16/labeled.txt", pipeline=pipelines.labeled))
unlabeled_dataloader = dict(
    drop_last=True,
    dataset=dict(dataset, ann_file="splits/ade20k/1_16/unlabeled.txt", pipeline=pipelines.unlabeled),
)
val_dataloader = dict(
    dataset=dict(
        dataset,
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=pipelines.test,
    )
)
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
