"""DA-VPT on PASCAL Context-60: SETR-PUP, ViT-L/16, 480x480, 80k iterations.

Command: tools/dist_train.sh configs/setr_davpt_pascal_context.py 8
Hardware: 8 GPUs with 2 images each, as SETR; 13,542,640 parameters train.
Paper: mIoU 50.15, multi-scale 51.04 (its Table 2).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = [
    './_base_/models/davpt-vit-l_setr-pup.py',
    './_base_/datasets/pascal_context_480x480.py',
    './_base_/schedules/setr_sgd_80k.py',
    './_base_/default_runtime_seg.py',
]
# ---- frequently modified ----
checkpoint = 'checkpoints/jx_vit_large_p16_384-b3be5167.pth'  # SETR's
num_prompts = 20  # of each layer
token_weight = cls_weight = 0.01  # beta and lambda of eq. 5
# ---- possibly modified ----
feature_layers = (9, 14, 19, 23)  # from 0; the paper's text: (8, 11, 17, 23)
# ---- unmodified in most cases ----
crop = (480, 480)  # pixels
model = dict(
    num_classes=60,
    data_preprocessor=dict(size=crop),
    backbone=dict(
        img_size=crop,
        num_prompts=num_prompts,
        out_indices=feature_layers,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    guidance=dict(
        background_class=0,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
    test_cfg=dict(crop_size=crop, stride=(320, 320)),
)
