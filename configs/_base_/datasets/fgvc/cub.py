"""CUB-200-2011: 200 classes; 5,394 train, 600 val, 5,794 test images."""

_base_ = '../fgvc.py'

num_classes = 200
name = dict(dataset=dict(name='cub'))
train_dataloader = name
test_dataloader = name
protocols = dict(
    tune=dict(val_dataloader=name), released=dict(val_dataloader=name)
)
