"""VTAB-1k, Sun397: 397 classes, 21,750 test images."""

_base_ = '../vtab1k.py'

num_classes = 397
task = dict(dataset=dict(task='sun397'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
