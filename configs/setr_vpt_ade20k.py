"""VPT-Deep on ADE20K: prompts without guidance.

Command: tools/dist_train.sh configs/setr_vpt_ade20k.py 8
Hardware: 8 GPUs with 2 images each; 13,635,160 parameters train.
Paper: mIoU 44.08, multi-scale 46.01 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and ADE20K.
"""

_base_ = './setr_davpt_ade20k.py'

model = dict(guidance=None)
