"""VTAB-1k, Clevr/distance: 6 classes, 15,000 test images."""

_base_ = '../vtab1k.py'

num_classes = 6
task = dict(dataset=dict(task='clevr_dist'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
