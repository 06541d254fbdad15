"""DA-VPT with SETR-PUP on your own label maps: a start to inherit from.

Command: tools/dist_train.sh configs/recommended/setr_davpt_image_folder.py 8
Hardware: 8 GPUs with 2 images each; fewer take a smaller learning rate.
Data: data/scenes/{train,val}/{images/*.jpg,labels/*.png}
A child sets the classes and the folder, as README.md shows. Unlike the
paper's configs, this one normalises by the mean and std of the weights.
"""

_base_ = [
    '../_base_/models/davpt-vit-l_setr-pup.py',
    '../_base_/datasets/image_folder_seg_512x512.py',
    '../_base_/schedules/setr_sgd_160k.py',
    '../_base_/default_runtime_seg.py',
]
# ---- frequently modified ----
checkpoint = 'checkpoints/vit_large_patch16_224.augreg_in21k.safetensors'
max_iters = 20000
batch_size = 2  # images on each GPU
lr = 1e-3  # of the prompts; the heads have ten times that
token_weight = cls_weight = 0.01  # beta and lambda of eq. 5
# ---- possibly modified ----
num_classes = 2
background_class = None  # a class that guides no prompt
# ---- unmodified in most cases ----
classes = dict(num_classes=num_classes)
model = dict(
    # What the weights declare (docs/weights.md).
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=classes,
    auxiliary_head=[
        dict(**_base_.aux_head, **classes, in_index=i) for i in range(3)
    ],
    guidance=dict(
        background_class=background_class,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
train_dataloader = dict(batch_size=batch_size)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
