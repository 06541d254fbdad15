"""Linear probing on PASCAL Context-60: the heads alone train.

Command: tools/dist_train.sh configs/setr_linear_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 13,051,120 parameters train.
Paper: mIoU 46.06, multi-scale 48.13 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(backbone=dict(num_prompts=0), guidance=None)
