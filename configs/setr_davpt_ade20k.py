"""DA-VPT on ADE20K: SETR-PUP, ViT-L/16, 512x512, 160k iterations of 16 images.

Command: tools/dist_train.sh configs/setr_davpt_ade20k.py 8
Hardware: 8 GPUs with 2 images each, as SETR; 13,635,160 parameters train.
Paper: mIoU 45.10, multi-scale 47.07 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
"""

_base_ = [
    './_base_/models/davpt-vit-l_setr-pup.py',
    './_base_/datasets/ade20k_512x512.py',
    './_base_/schedules/setr_sgd_160k.py',
    './_base_/default_runtime_seg.py',
]
# ---- frequently modified ----
checkpoint = 'checkpoints/jx_vit_large_p16_384-b3be5167.pth'  # SETR's
batch_size = 2  # images on each GPU
lr = 1e-3  # of the prompts; the heads have ten times that
num_prompts = 20  # of each layer
token_weight = cls_weight = 0.01  # beta and lambda of eq. 5
# ---- possibly modified ----
feature_layers = (9, 14, 19, 23)  # from 0; the paper's text: (8, 11, 17, 23)
guided_layers = (-1,)
# ---- unmodified in most cases ----
model = dict(
    backbone=dict(
        num_prompts=num_prompts,
        out_indices=feature_layers,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
train_dataloader = dict(batch_size=batch_size)
optim_wrapper = dict(optimizer=dict(lr=lr))
