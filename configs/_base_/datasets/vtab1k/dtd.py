"""VTAB-1k, DTD: 47 classes, 1,880 test images."""

_base_ = '../vtab1k.py'

num_classes = 47
task = dict(dataset=dict(task='dtd'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
