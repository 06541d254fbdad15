"""Full tuning on ADE20K: the whole ViT-L trains, without prompts.

Command: tools/dist_train.sh configs/setr_full_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 317,291,096 parameters train.
Paper: mIoU 47.60, multi-scale 49.18 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(
    backbone=dict(num_prompts=0, trainable=('*',)),
    guidance=None,
)
