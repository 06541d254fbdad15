"""DA-VPT on Stanford Dogs: ViT-B/16, supervised on ImageNet-21k.

Command: python tools/train.py configs/fgvc/in21k/davpt_vit-b-in21k_dogs.py
Hardware: one GPU.
Paper: top-1 89.4 (Table 3).
Ours: not run here, needs ImageNet-21k weights and Stanford Dogs.
Settings: the authors' released ones (configs/released_hparams.csv). The row
has no guidance weights, so that the released code guides nothing; here they
are 0.01, as in most rows. Left out: re-mapping from epoch 10 only.
"""

_base_ = [
    '../../_base_/weights/vit-b_in21k.py',
    '../../_base_/datasets/fgvc/dogs.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
lr = 0.0002
weight_decay = 0.05  # of the prompts
head_weight_decay = 3.0
token_weight = 0.01  # beta of eq. 5
cls_weight = 0.01  # lambda of eq. 5
# ---- possibly modified ----
num_prompts = (20,) * 11 + (10,)  # of each layer
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
train_dataloader = dict(batch_size=64)
