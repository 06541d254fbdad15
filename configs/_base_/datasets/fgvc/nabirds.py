"""NABirds: 555 classes; 21,536 train, 2,393 val, 24,633 test images."""

_base_ = '../fgvc.py'

num_classes = 555
name = dict(dataset=dict(name='nabirds'))
train_dataloader = name
test_dataloader = name
protocols = dict(
    tune=dict(val_dataloader=name), released=dict(val_dataloader=name)
)
