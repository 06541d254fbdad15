"""DA-VPT on NABirds: ViT-B/16, MoCo v3 on ImageNet-1k.

Command: python tools/train.py \
    configs/fgvc/moco-v3/davpt_vit-b-moco-v3_nabirds.py
Hardware: one GPU.
Paper: no number of its own; mean of the five sets 85.02 (Table 1).
Ours: not run here, needs MoCo v3 weights and NABirds.
Settings: the authors' released ones (configs/released_hparams.csv). Left out:
prompts scaled by 5 in the guidance, re-mapping from epoch 10 only.
"""

_base_ = [
    '../../_base_/weights/vit-b_moco-v3.py',
    '../../_base_/datasets/fgvc/nabirds.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
lr = 0.01
weight_decay = 0.01  # of the prompts
head_weight_decay = 0.05
token_weight = 0.01  # beta of eq. 5
cls_weight = 0.05  # lambda of eq. 5
# ---- possibly modified ----
num_prompts = 20  # of each layer
guided_layers = (11,)  # from 0
# ---- unmodified in most cases ----
model = dict(
    backbone=dict(num_prompts=num_prompts),
    head=dict(num_classes=_base_.num_classes),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
custom_keys = {
    'prompts': dict(decay_mult=weight_decay / _base_.decay_unit),
    'head.fc.weight': dict(decay_mult=head_weight_decay / _base_.decay_unit),
}
optim_wrapper = dict(
    optimizer=dict(lr=lr), paramwise_cfg=dict(custom_keys=custom_keys)
)
