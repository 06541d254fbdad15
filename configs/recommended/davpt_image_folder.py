"""DA-VPT on your own images: a starting point to inherit from.

Command: python tools/train.py configs/recommended/davpt_image_folder.py
Hardware: one GPU.
Data: data/images/{train,val}/CLASS/*.jpg
A child config sets any of the keys below, as README.md shows; each has effect
by itself. Tune the learning rate first. Unlike the paper's configs, this one
normalizes images by the mean and std of the weights.
"""

_base_ = [
    '../_base_/models/davpt-vit-b_linear.py',
    '../_base_/datasets/image_folder_224x224.py',
    '../_base_/schedules/adamw_cosine_100e.py',
    '../_base_/default_runtime_cls.py',
]

model = dict(
    head=dict(num_classes=2),
    backbone=dict(num_prompts=20),  # of each layer
    guidance=dict(
        guided_layers=(-1,),
        loss=dict(token_weight=0.01, cls_weight=0.01),  # beta, lambda of eq. 5
    ),
)
# What the weights declare (docs/weights.md).
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)
train_dataloader = dict(batch_size=32)
train_cfg = dict(max_epochs=100)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
