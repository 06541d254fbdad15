"""VTAB-1k, KITTI/distance: 4 classes, 711 test images."""

_base_ = '../vtab1k.py'

num_classes = 4
task = dict(dataset=dict(task='kitti'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
