"""Stanford Dogs: 120 classes; 10,800 train, 1,200 val, 8,580 test images."""

_base_ = '../fgvc.py'

num_classes = 120
name = dict(dataset=dict(name='dogs'))
train_dataloader = name
test_dataloader = name
protocols = dict(
    tune=dict(val_dataloader=name), released=dict(val_dataloader=name)
)
