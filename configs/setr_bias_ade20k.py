"""K and V bias on ADE20K: with the heads, but without prompts.

Command: tools/dist_train.sh configs/setr_bias_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 13,192,792 parameters train.
Paper: mIoU 43.61, multi-scale 45.73 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
Heads plus K and V bias make the 13.2 M that the paper counts for "Bias". Heads
plus all biases of the backbone, as VPT counts, would make 13.4 M.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(
    backbone=dict(num_prompts=0, bias=('k', 'v')),
    guidance=None,
)
