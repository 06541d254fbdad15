"""K and V bias on PASCAL Context-60: heads besides, but no prompts.

Command: tools/dist_train.sh configs/setr_bias_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 13,100,272 parameters train.
Paper: mIoU 45.15, multi-scale 46.47 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
The paper counts 13.2 M for "Bias": heads plus K and V bias. All biases of the
backbone would be 13.4 M, as VPT counts them.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(
    backbone=dict(num_prompts=0, bias=('k', 'v')),
    guidance=None,
)
