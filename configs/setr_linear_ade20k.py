"""Linear probing on ADE20K: the heads alone train.

Command: tools/dist_train.sh configs/setr_linear_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 13,143,640 parameters train.
Paper: mIoU 38.09, multi-scale 39.16 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(backbone=dict(num_prompts=0), guidance=None)
