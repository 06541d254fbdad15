"""VTAB-1k, Flowers102: 102 classes, 6,149 test images."""

_base_ = '../vtab1k.py'

num_classes = 102
task = dict(dataset=dict(task='oxford_flowers102'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
