"""VTAB-1k, SmallNORB/ele: 9 classes, 12,150 test images."""

_base_ = '../vtab1k.py'

num_classes = 9
task = dict(dataset=dict(task='smallnorb_ele'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
