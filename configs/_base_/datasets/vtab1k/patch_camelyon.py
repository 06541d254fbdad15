"""VTAB-1k, Patch Camelyon: 2 classes, 32,768 test images."""

_base_ = '../vtab1k.py'

num_classes = 2
task = dict(dataset=dict(task='patch_camelyon'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
