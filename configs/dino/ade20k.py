"""Heads on frozen DINOv2 and DINOv3 on ADE20K, with and without tuning.

Command: tools/dist_train.sh configs/dino/ade20k.py 8 --cfg-options
    weights=dinov3-b head=linear method=davpt
    These are the defaults. experiments/dino_ade20k.csv has twelve choices.
Hardware: 8 GPUs with 2 images each, as the published linear evaluations
Published: mIoU of a linear head on frozen weights, DINOv2-B 45.8, DINOv3-B
    51.8, DINOv3-L 54.9 (DINOv3: arXiv 2508.10104). Stronger heads at 512x512
    on DINOv3-L: EoMT 59.5, which tunes the ViT, and PMT 58.5, frozen.
Ours: not run here, needs the weights and ADE20K.
timm downloads the weights. DINOv2's have the Apache-2.0 licence; DINOv3's
have a licence of their own, the DINOv3 License: read it before you use them.
"""

_base_ = [
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/default_runtime_seg.py',
]
# ---- frequently modified ----
weights = 'dinov3-b'  # dinov2-b, dinov3-b or dinov3-l
# linear, naive, pup, mla, uper or segmenter: docs/config.md compares them
head = 'linear'
method = 'davpt'  # frozen, davpt or lora
num_prompts = 20  # of each layer
batch_size = 2  # images on each GPU
# ---- unmodified in most cases ----
# AdamW, the rates, 40k iterations and windows are those of DINOv2's linear
# evaluation; DINOv3's has the same lr and length. With another head, and for
# prompts and LoRA, they are our choice.
lr = 1e-3
max_iters = 40000
vits = {
    'dinov2-b': dict(
        name='vit_base_patch14_dinov2.lvd142m',
        size=518,  # of a crop; the published 512, padded to whole patches
        num_layers=12,
        embed_dims=768,
        num_heads=12,
    ),
    'dinov3-b': dict(
        name='vit_base_patch16_dinov3.lvd1689m',
        size=512,
        num_layers=12,
        embed_dims=768,
        num_heads=12,
    ),
    'dinov3-l': dict(
        name='vit_large_patch16_dinov3.lvd1689m',
        size=512,
        num_layers=24,
        embed_dims=1024,
        num_heads=16,
    ),
}
methods = dict(
    frozen=dict(num_prompts=0),
    davpt=dict(num_prompts=num_prompts),
    lora=dict(num_prompts=0, tuners=[dict(type='LoRA', rank=8)]),
)
assert weights in vits, f'weights should be one of {", ".join(vits)}'
assert method in methods, f'method should be one of {", ".join(methods)}'
vit = vits[weights]
size = vit['size']
loss = dict(type='CrossEntropyLoss')

# Heads on the last layer, or on four at the relative depths of layers 10, 15,
# 20 and 24 of 24, as in SETR.
depth, width = vit['num_layers'], vit['embed_dims']
last = dict(out_indices=[depth - 1], final_norm=True)
four = dict(
    out_indices=[round(depth * n / 24) - 1 for n in (10, 15, 20, 24)],
    final_norm=False,
)
norm = dict(type='SyncBN', requires_grad=True)  # BN on one process
main = dict(
    align_corners=False,
    dropout_ratio=0,
    loss_decode=dict(**loss, loss_weight=1.0),
)
aux = dict(main, loss_decode=dict(**loss, loss_weight=0.4))
setr = dict(type='SETRUPHead', in_channels=width, channels=256, norm_cfg=norm)
naive = dict(**setr, kernel_size=1, num_convs=1, up_scale=4)
pup = dict(**setr, kernel_size=3)
fcn = dict(type='FCNHead', channels=256, concat_input=False)
heads = dict(
    # DINOv2's linear head: a norm and a linear map of each patch.
    linear=dict(
        features=last,
        decode_head=dict(
            **main,
            type='mmdavpt.LinearSegHead',
            in_channels=width,
            norm_cfg=norm,
        ),
    ),
    # SETR-Naive, SETR-PUP and SETR-MLA.
    naive=dict(
        features=four,
        decode_head=dict(**main, **naive, in_index=3),
        auxiliary_head=[dict(**aux, **naive, in_index=i) for i in range(3)],
    ),
    pup=dict(
        features=four,
        decode_head=dict(**main, **pup, in_index=3, num_convs=4, up_scale=2),
        auxiliary_head=[
            dict(**aux, **pup, in_index=i, num_convs=2, up_scale=4)
            for i in range(3)
        ],
    ),
    mla=dict(
        features=four,
        neck=dict(
            type='MLANeck',
            in_channels=[width] * 4,
            out_channels=256,
            norm_cfg=norm,
            act_cfg=dict(type='ReLU'),
        ),
        decode_head=dict(
            **main,
            type='SETRMLAHead',
            in_channels=[256] * 4,
            in_index=[0, 1, 2, 3],
            channels=512,
            mla_channels=128,
            norm_cfg=norm,
        ),
        auxiliary_head=[
            dict(**aux, **fcn, in_channels=256, in_index=i, num_convs=0)
            for i in range(4)
        ],
    ),
    # UPerNet on a feature pyramid, as MMSegmentation's for BEiT.
    uper=dict(
        features=four,
        neck=dict(
            type='mmdavpt.FeaturePyramid', embed_dim=width, norm_cfg=norm
        ),
        decode_head=dict(
            **main,
            type='UPerHead',
            in_channels=[width] * 4,
            in_index=[0, 1, 2, 3],
            channels=512,
            norm_cfg=norm,
        ),
        auxiliary_head=[
            dict(
                **aux,
                **fcn,
                in_channels=width,
                in_index=2,
                num_convs=1,
                norm_cfg=norm,
            )
        ],
    ),
    # Segmenter's mask transformer.
    segmenter=dict(
        features=last,
        decode_head=dict(
            **main,
            type='SegmenterMaskTransformerHead',
            in_channels=width,
            channels=width,
            embed_dims=width,
            num_layers=2,
            num_heads=vit['num_heads'],
        ),
    ),
)
assert head in heads, f'head should be one of {", ".join(heads)}'
parts = heads[head]
model = dict(
    type='mmdavpt.DAVPTEncoderDecoder',
    num_classes=150,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],  # both were trained with ImageNet's
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(size, size),
    ),
    backbone=dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name=vit['name'],
        img_size=size,
        out_type='featmap',
        **parts['features'],
        init_cfg=dict(type='Pretrained', checkpoint=f'timm://{vit["name"]}'),
        **methods[method],
    ),
    neck=parts.get('neck'),
    decode_head=parts['decode_head'],
    auxiliary_head=parts.get('auxiliary_head'),
    guidance=dict(normalize='centered') if method == 'davpt' else None,
    test_cfg=dict(mode='slide', crop_size=(size, size), stride=(341, 341)),
)
# The shorter side is that of a crop: a window of 512 rows would be padded to
# 37 patches of 14, and the map of 518 rows squeezed into it.
scale = (4 * size, size)  # maximum of the longer and shorter side, in pixels
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(size, size), cat_max_ratio=0.75),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[2:],
]
sizes = [
    dict(
        type='Resize',
        scale=(int(scale[0] * r), int(scale[1] * r)),
        keep_ratio=True,
    )
    for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[sizes, *_base_.tta_pipeline[1].transforms[1:]],
    ),
]
train_dataloader = dict(
    batch_size=batch_size, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmdavpt.TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=1e-4),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=1500, by_epoch=False),
    dict(type='PolyLR', power=1.0, begin=1500, by_epoch=False),
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=10000, tuned_only=True))
