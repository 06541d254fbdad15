"""VTAB-1k, Pets: 37 classes, 3,669 test images."""

_base_ = '../vtab1k.py'

num_classes = 37
task = dict(dataset=dict(task='oxford_iiit_pet'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
