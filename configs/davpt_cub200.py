"""DA-VPT on CUB-200-2011: ViT-B/16, 224x224, 100 epochs of batch 32.

Command: python tools/train.py configs/davpt_cub200.py
Hardware: one GPU.
Paper: top-1 90.2 (its Table 7; the mean of three seeds).
Ours: not run here, needs ImageNet-21k weights and CUB-200-2011.
Of the authors' released CUB settings it has the learning rate, weight decay,
prompts, guided layers and both guidance weights. It leaves out what belongs
to their code and not to the paper: a weight decay of 5 for the head alone,
prompts scaled by 5, drop path, a class-balanced sampler, more biases.
"""

_base_ = [
    './_base_/models/davpt-vit-b_linear.py',
    './_base_/datasets/cub200_224x224.py',
    './_base_/schedules/adamw_cosine_100e.py',
    './_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
checkpoint = 'checkpoints/vit-base-p16_in21k.pth'  # docs/data.md
lr = 5e-4
weight_decay = 0.05
num_prompts = 10  # of each layer
token_weight = cls_weight = 0.05  # beta and lambda of eq. 5
# ---- possibly modified ----
guided_layers = (10, 11)  # from 0
# ---- unmodified in most cases ----
model = dict(
    backbone=dict(
        num_prompts=num_prompts,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    head=dict(num_classes=200),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=lr, weight_decay=weight_decay))
