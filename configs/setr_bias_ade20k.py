"""K and V bias on ADE20K: heads besides, but no prompts.

Command: tools/dist_train.sh configs/setr_bias_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 13,192,792 parameters train.
Paper: mIoU 43.61, multi-scale 45.73 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
The paper counts 13.2 M for "Bias": heads plus K and V bias. All biases of the
backbone would be 13.4 M, as VPT counts them.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(
    backbone=dict(num_prompts=0, bias=('k', 'v')),
    guidance=None,
)
