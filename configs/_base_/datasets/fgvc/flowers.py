"""Oxford Flowers: 102 classes; 1,020 train, 1,020 val, 6,149 test images."""

_base_ = '../fgvc.py'

num_classes = 102
name = dict(dataset=dict(name='flowers'))
train_dataloader = name
test_dataloader = name
protocols = dict(
    tune=dict(val_dataloader=name), released=dict(val_dataloader=name)
)
