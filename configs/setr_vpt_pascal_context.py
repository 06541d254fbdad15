"""VPT-Deep on PASCAL Context-60: prompts without guidance.

Command: tools/dist_train.sh configs/setr_vpt_pascal_context.py 8
Hardware: 8 GPUs with 2 images each; 13,542,640 parameters train.
Paper: mIoU 49.51, multi-scale 50.46 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(guidance=None)
