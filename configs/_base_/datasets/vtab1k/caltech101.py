"""VTAB-1k, Caltech101: 102 classes, 6,084 test images."""

_base_ = '../vtab1k.py'

num_classes = 102
task = dict(dataset=dict(task='caltech101'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
