# PASCAL VOC 2012 with crop 321, without colour changes of labeled images: the data of UniMatch on R101.
_base_ = "voc2012.py"
crop_size = (321, 321)  # (h, w)
for pipeline in (
    _base_.weak_geometry,
    _base_.weak_labeled_pipeline,
    _base_.unlabeled_pipeline,
    _base_.two_strong_unlabeled_pipeline,
):
    for step in pipeline:
        if step["type"] == "RandomCrop":
            step["crop_size"] = crop_size
        if step["type"] == "PadAndMark":
            step["size"] = crop_size[::-1]
del pipeline, step
labeled_pipeline = _base_.weak_labeled_pipeline
train_dataloader = dict(dataset=dict(pipeline=labeled_pipeline))
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.unlabeled_pipeline))
