"""DA-VPT on Oxford Flowers: ViT-B/16, MAE on ImageNet-1k.

Command: python tools/train.py configs/fgvc/mae/davpt_vit-b-mae_flowers.py
Hardware: one GPU.
Paper: no number of its own; mean of the five sets 82.17 (Table 1).
Ours: not run here, needs MAE weights and Oxford Flowers.
Settings: the authors' released ones (configs/released_hparams.csv). Left out:
prompts scaled by 5 in the guidance.
"""

_base_ = [
    '../../_base_/weights/vit-b_mae.py',
    '../../_base_/datasets/fgvc/flowers.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
lr = 0.005
weight_decay = 0.0001  # of the prompts
head_weight_decay = 0.5
token_weight = 0.01  # beta of eq. 5
cls_weight = 0.1  # lambda of eq. 5
# ---- possibly modified ----
num_prompts = (5,) * 5 + (40,) * 7  # of each layer
guided_layers = (5, 6, 7, 8, 9, 10, 11)  # from 0
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
