"""DA-VPT+ on ADE20K: setr_davpt_ade20k.py with K and V bias (section 3.5).

Command: tools/dist_train.sh configs/setr_davpt-plus_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 13,684,312 parameters train.
Paper: mIoU 46.47, multi-scale 47.21 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(backbone=dict(bias=('k', 'v')))
