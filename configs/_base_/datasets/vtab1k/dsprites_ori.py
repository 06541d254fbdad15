"""VTAB-1k, dSprites/ori: 16 classes, 73,728 test images."""

_base_ = '../vtab1k.py'

num_classes = 16
task = dict(dataset=dict(task='dsprites_ori'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
