"""DA-VPT with SETR-PUP on your own label maps: a base to inherit from.

Command: tools/dist_train.sh configs/recommended/setr_davpt_image_folder.py 8
Hardware: 8 GPUs with 2 images each; with fewer, lower the learning rate.
Data: data/scenes/{train,val}/{images/*.jpg,labels/*.png}
A child config sets any of the keys below, as README.md shows; each has effect
by itself. Unlike the paper's configs, this one normalizes images by the mean
and std of the weights.
"""

_base_ = [
    '../_base_/models/davpt-vit-l_setr-pup.py',
    '../_base_/datasets/image_folder_seg_512x512.py',
    '../_base_/schedules/setr_sgd_160k.py',
    '../_base_/default_runtime_seg.py',
]

model = dict(
    num_classes=2,  # of all heads
    # What the weights declare (docs/weights.md).
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        num_prompts=20,  # of each layer
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/vit_large_patch16_224.augreg_in21k'
            '.safetensors',
        ),
    ),
    guidance=dict(
        background_class=None,  # a class that guides no prompt
        guided_layers=(-1,),
        loss=dict(token_weight=0.01, cls_weight=0.01),  # beta, lambda of eq. 5
    ),
)
train_dataloader = dict(batch_size=2)  # images on each GPU
train_cfg = dict(max_iters=20000, val_interval=2000)
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # of prompts; heads have 10x
