# Labels of the unlabeled images from files, synthetic data set: docs/labels_from_files.md has the commands before this.
_base_ = "resnet18-tiny_synthetic.py"
files = "data/synthetic_labels"
labels = dict(type="LoadPseudoLabel", folder=f"{files}/labels", confidence_folder=f"{files}/confidence")
pipeline = _base_.pipelines.strong_unlabeled
model = dict(confidence=None, alignment=None)  # each pixel counts with the confidence in its file
unlabeled_dataloader = dict(dataset=dict(pipeline=[pipeline[0], labels, *pipeline[1:]]))
train_cfg = dict(pseudo_labels_from="data")
