"""VTAB-1k, Resisc45: 45 classes, 6,300 test images."""

_base_ = '../vtab1k.py'

num_classes = 45
task = dict(dataset=dict(task='resisc45'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
