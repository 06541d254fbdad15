"""DA-VPT on VTAB-1k DTD: ViT-B/16, supervised on ImageNet-21k.

Command: python tools/train.py configs/vtab/in21k/davpt_vit-b-in21k_vtab-dtd.py
Hardware: one GPU.
Paper: no number of its own; mean of the natural tasks 80.25 (Table 1).
Ours: not run here, needs ImageNet-21k weights and VTAB-1k.
Settings: the authors' released ones (configs/released_hparams.csv). The row
has no guidance weights, so that the released code guides nothing; here they
are 0.01, as in most rows. Left out: prompts scaled by 5 in the guidance, drop
path 0.1, re-mapping from epoch 10 only.
"""

_base_ = [
    '../../_base_/weights/vit-b_in21k.py',
    '../../_base_/datasets/vtab1k/dtd.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
lr = 0.001
weight_decay = 0.05  # of the prompts
head_weight_decay = 5.0
token_weight = 0.01  # beta of eq. 5
cls_weight = 0.01  # lambda of eq. 5
# ---- possibly modified ----
num_prompts = 10  # of each layer
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
