"""VTAB-1k, CIFAR-100: 100 classes, 10,000 test images."""

_base_ = '../vtab1k.py'

num_classes = 100
task = dict(dataset=dict(task='cifar'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
