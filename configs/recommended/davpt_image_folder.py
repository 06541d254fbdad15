"""DA-VPT on your own images: a starting point to inherit from.

Command: python tools/train.py configs/recommended/davpt_image_folder.py
Hardware: one GPU.
Data: data/images/{train,val}/CLASS/*.jpg
A child sets the number of classes and the folder, as README.md shows. The
paper's configs differ in two ways: they normalise by ImageNet's mean and std,
and each was tuned for its task. Tune the learning rate first.
"""

_base_ = [
    '../_base_/weights/vit-b_in21k.py',
    '../_base_/datasets/image_folder_224x224.py',
    '../_base_/schedules/adamw_cosine_100e.py',
    '../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
num_classes = 2
lr = 1e-3
token_weight = cls_weight = 0.01  # beta and lambda of eq. 5
# ---- possibly modified ----
num_prompts = 20  # of each layer
guided_layers = (-1,)
# ---- unmodified in most cases ----
model = dict(
    backbone=dict(num_prompts=num_prompts),
    head=dict(num_classes=num_classes),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
# What the weights declare (docs/weights.md).
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)
optim_wrapper = dict(optimizer=dict(lr=lr))
