# Photographs for small trainings: crops of 224 x 224 (a multiple of 32, which TinyViT prefers), 4 labeled and 4
# unlabeled images a step. Children name the data set and its lists.
_base_ = "semi.py"
from mmseg_allspark.datasets import semi_pipelines

crop_size = (224, 224)  # (h, w)
pipelines = semi_pipelines(crop_size)
train_dataloader = dict(batch_size=4, num_workers=1, drop_last=True, dataset=dict(pipeline=pipelines.labeled))
unlabeled_dataloader = dict(
    batch_size=4, num_workers=1, drop_last=True, dataset=dict(pipeline=pipelines.strong_unlabeled)
)
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=pipelines.test))
test_dataloader = val_dataloader
test_pipeline = pipelines.test  # for mmseg.apis
tta_pipeline = pipelines.tta
