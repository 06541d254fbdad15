"""DA-VPT on CUB-200-2011: ViT-B/16, supervised on ImageNet-21k.

Command: python tools/train.py configs/fgvc/in21k/davpt_vit-b-in21k_cub.py
Hardware: one GPU.
Paper: top-1 90.2 (Table 3).
Ours: not run here, needs ImageNet-21k weights and CUB-200-2011.
configs/experiments/fgvc.csv has the values of all sets and weights;
configs/vtab/README.md says where they come from.
"""

_base_ = [
    '../../_base_/models/davpt-vit-b_linear.py',
    '../../_base_/datasets/fgvc.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- the columns of experiments/fgvc.csv ----
weights = 'in21k'  # or 'mae', 'moco-v3'
name = 'cub'
num_classes = 200
first_guided = 10  # the first guided layer, from 0; all later ones follow
num_prompts = 10  # of each unguided layer
guided_prompts = 10  # of each guided layer
token_weight = 0.05  # beta of eq. 5
cls_weight = 0.05  # lambda of eq. 5
lr = 0.0005
weight_decay = 0.05  # of the prompts
head_weight_decay = 5.0
batch_size = 32
# ---- the same for all rows ----
num_layers = 12
guided_layers = tuple(range(first_guided, num_layers))
model = dict(
    backbone=dict(
        num_prompts=(num_prompts,) * first_guided
        + (guided_prompts,) * len(guided_layers),
        **_base_.pretrained[weights],
    ),
    head=dict(num_classes=num_classes),
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
of_set = dict(dataset=dict(name=name))
train_dataloader = dict(batch_size=batch_size, **of_set)
test_dataloader = of_set
protocols = dict(
    tune=dict(val_dataloader=of_set), released=dict(val_dataloader=of_set)
)
