"""Full tuning on PASCAL Context-60: the whole ViT-L trains, without prompts.

Command: tools/dist_train.sh configs/setr_full_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 317,071,600 parameters train.
Paper: mIoU 53.69, multi-scale 55.21 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(
    backbone=dict(num_prompts=0, trainable=('*',)),
    guidance=None,
)
