"""DA-VPT+ on PASCAL Context-60: K and V bias train as well (section 3.5).

Command: tools/dist_train.sh configs/setr_davpt-plus_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 13,591,792 parameters train.
Paper: mIoU 50.40, multi-scale 51.28 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(backbone=dict(bias=('k', 'v')))
