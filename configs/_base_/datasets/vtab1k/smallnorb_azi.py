"""VTAB-1k, SmallNORB/azi: 18 classes, 12,150 test images."""

_base_ = '../vtab1k.py'

num_classes = 18
task = dict(dataset=dict(task='smallnorb_azi'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
