"""K and V bias on PASCAL Context-60: with the heads, but without prompts.

Command: tools/dist_train.sh configs/setr_bias_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 13,100,272 parameters train.
Paper: mIoU 45.15, multi-scale 46.47 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
Heads plus K and V bias make the 13.2 M that the paper counts for "Bias". Heads
plus all biases of the backbone, as VPT counts, would make 13.4 M.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(
    backbone=dict(num_prompts=0, bias=('k', 'v')),
    guidance=None,
)
