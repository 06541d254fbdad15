"""VTAB-1k, Clevr/count: 8 classes, 15,000 test images."""

_base_ = '../vtab1k.py'

num_classes = 8
task = dict(dataset=dict(task='clevr_count'))
train_dataloader = task
test_dataloader = task
protocols = dict(
    tune=dict(val_dataloader=task), released=dict(val_dataloader=task)
)
