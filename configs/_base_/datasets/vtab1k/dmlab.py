"""VTAB-1k, DMLab: 6 classes, 22,735 test images."""

_base_ = '../vtab1k.py'

num_classes = 6
task = dict(dataset=dict(task='dmlab'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
