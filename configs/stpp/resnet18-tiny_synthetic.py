# ST++, synthetic data set, from scratch, 8 + 4 images. Three trainings; the averaged model is evaluated and labels.
# python tools/prepare/synthetic.py && python tools/self_training.py configs/stpp/resnet18-tiny_synthetic.py
_base_ = "../supervised/resnet18-tiny_synthetic.py"
model = dict(type="SelfTrainingSegmentor")
unlabeled_dataloader = dict(dataset=dict(pipeline=_base_.pipelines.pseudo_labeled))
train_cfg = dict(
    _delete_=True, type="PseudoLabelLoop", max_iters=_base_.max_iters, val_interval=200, pseudo_labels_from="data"
)
self_training = dict(
    supervised=dict(train_cfg=dict(_delete_=True, type="SupervisedLoop", max_iters=_base_.max_iters, val_interval=200))
)
