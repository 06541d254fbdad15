"""VTAB-1k, Retinopathy: 5 classes, 42,670 test images."""

_base_ = '../vtab1k.py'

num_classes = 5
task = dict(dataset=dict(task='diabetic_retinopathy'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
