"""VTAB-1k, SVHN: 10 classes, 26,032 test images."""

_base_ = '../vtab1k.py'

num_classes = 10
task = dict(dataset=dict(task='svhn'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
