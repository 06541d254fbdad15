"""Stanford Cars: 196 classes; 7,329 train, 815 val, 8,041 test images."""

_base_ = '../fgvc.py'

num_classes = 196
name = dict(dataset=dict(name='cars'))
train_dataloader = name
test_dataloader = name
protocols = dict(
    tune=dict(val_dataloader=name), released=dict(val_dataloader=name)
)
