"""Segment your own images: a starting point with all settings at the top.

Command: mmdavpt train configs/recommended/segmentation.py
    once the settings are yours. `mmdavpt train --task segmentation FOLDER`
    writes this file with the settings of a folder to work_dirs/FOLDER, and
    trains.
Data: FOLDER/[train,val,test/]{images,labels}
Hardware: one GPU. On a CPU: arch = 's', size = 112, batch_size = 4.
Each setting works on the command line too: --cfg-options lr=3e-3
README.md in this folder says where the defaults come from.
"""

import os

# ---- data ----
data_root = 'data/scenes'
# Arguments of mmdavpt.SegmentationFolder: folders of data_root; ann_file
# lists some of the images.
train_data = dict(
    data_prefix=dict(img_path='train/images', seg_map_path='train/labels')
)
val_data = dict(
    data_prefix=dict(img_path='val/images', seg_map_path='val/labels')
)
test_data = dict(
    data_prefix=dict(img_path='val/images', seg_map_path='val/labels')
)
# Names of the values 0, 1, ... of labels, and their colors in pictures.
classes = ['class_0', 'class_1']
palette = [[0, 0, 0], [200, 0, 0]]
# Without a map, labels hold classes, and 255 for pixels to ignore. A map of
# values names the class of each, such as {0: 0, 255: 1}; one of colored labels
# the color of each class.
value_map = None
color_map = None
background_class = None  # number of a class that guides no prompt

# ---- model ----
# ViT-S, ViT-B or ViT-L ('s', 'b', 'l'), or the sizes of another ViT.
arch = 'b'
# A file or timm://NAME; None is DINOv2 of this arch.
weights = None
frozen_dtype = None  # 'bfloat16' halves the memory of the frozen weights
# Five settings that belong to the weights (docs/weights.md).
patch_size = 14
backbone_options = dict(layer_scale_init_value=1e-5)
timm_model = None  # name in timm of a ViT with registers, without [CLS], ...
mean = [123.675, 116.28, 103.53]  # of red, green and blue, from 0 to 255
std = [58.395, 57.12, 57.375]
# davpt, davpt-plus, vpt, linear, full, bias, lora, adaptformer, or the type
# of another tuner (docs/tuners.md)
method = 'davpt'
num_prompts = 20  # of each layer; E2VPT has 5
# Prompts start as centers of the layer's tokens; None: random, as in VPT.
prompt_init = 'kmeans'
token_weight = 0.01  # beta of eq. 5, the guidance of tokens
cls_weight = 0.01  # lambda of eq. 5, the guidance of [CLS]
# linear, naive, pup, mla, uper or segmenter: docs/config.md compares them
head = 'pup'

# ---- training ----
size = 448  # of a crop in pixels, a multiple of patch_size
batch_size = 8  # crops of each GPU
max_epochs = 100
lr = None  # tune it first, by factors of 3; None: see `learning_rate`
seed = 0
num_workers = min(4, os.cpu_count() or 1)  # processes that load images
work_dir = None  # logs and checkpoints; None: work_dirs/NAME_OF_THIS_FILE
tuned_only = True  # checkpoints without the frozen weights

# ---- everything below follows from the settings ----
default_scope = 'mmseg'
num_classes = len(classes)
assert size % patch_size == 0, f'size should be a multiple of {patch_size}'
archs = dict(
    s=dict(
        embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536
    ),
    b=dict(
        embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072
    ),
    l=dict(
        embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096
    ),
)
vit = archs[arch] if isinstance(arch, str) else arch
dinov2 = dict(
    s='timm://vit_small_patch14_dinov2.lvd142m',
    b='timm://vit_base_patch14_dinov2.lvd142m',
    l='timm://vit_large_patch14_dinov2.lvd142m',
)
checkpoint = weights or dinov2[arch]

# What each method trains in the backbone. The heads always train.
prompts = dict(num_prompts=num_prompts)
methods = {
    'davpt': prompts,
    'davpt-plus': dict(prompts, bias=('k', 'v')),
    'vpt': prompts,
    'linear': dict(num_prompts=0),
    'full': dict(num_prompts=0, trainable=('*',)),
    'bias': dict(num_prompts=0, trainable=('*.bias',)),
    'lora': dict(num_prompts=0, tuners=[dict(type='LoRA')]),
    'adaptformer': dict(num_prompts=0, tuners=[dict(type='AdaptFormer')]),
    'E2VPT': dict(num_prompts=5, tuners=[dict(type='E2VPT')]),
}
tuner = dict(num_prompts=0, tuners=[dict(type=method)])
# For 16 images; AdamW's rate grows with the square root of the batch.
high = ('davpt', 'davpt-plus', 'vpt', 'e2vpt', 'linear', 'bias', 'adaptformer')
rates = dict.fromkeys(high, 5e-3) | dict(lora=3e-3, full=5e-5)
default_lr = rates.get(method.lower(), 1e-3)
learning_rate = lr or default_lr * (batch_size / 16) ** 0.5
if timm_model is None:
    backbone = dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=vit,
        patch_size=patch_size,
        interpolate_mode='bilinear',
    )
else:
    backbone = dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name=timm_model,
    )
guidance = dict(
    background_class=background_class,
    guided_layers=(-1,),
    normalize='centered',  # before k-means (docs/deviations.md)
    loss=dict(
        type='mmdavpt.DAVPTLoss',
        token_weight=token_weight,
        cls_weight=cls_weight,
    ),
)

loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)

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
    num_classes=num_classes,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=mean,
        std=std,
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(size, size),
    ),
    backbone=dict(
        **backbone,
        img_size=size,
        out_type='featmap',
        **parts['features'],
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
        frozen_dtype=frozen_dtype,
        **backbone_options,
        **methods.get(method, tuner),
    ),
    neck=parts.get('neck'),
    decode_head=parts['decode_head'],
    auxiliary_head=parts.get('auxiliary_head'),
    guidance=guidance if method.startswith('davpt') else None,
    test_cfg=dict(
        mode='slide', crop_size=(size, size), stride=(size * 2 // 3,) * 2
    ),
)

scale = (4 * size, size)  # maximum of the longer and shorter side, in pixels
load_masks = dict(
    type='mmdavpt.LoadMasks', value_map=value_map, color_map=color_map
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    load_masks,
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(size, size), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    load_masks,  # after `Resize`: scores are computed at the original size
    dict(type='PackSegInputs'),
]
sizes = [
    dict(
        type='Resize',
        scale=(int(scale[0] * r), int(scale[1] * r)),
        keep_ratio=True,
    )
    for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
flips = [
    dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0.0, 1.0)
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            sizes,
            flips,
            [load_masks],
            [dict(type='PackSegInputs')],
        ],
    ),
]
tta_model = dict(type='mmdavpt.RunningSegTTAModel')

dataset = dict(
    type='mmdavpt.SegmentationFolder',
    data_root=data_root,
    metainfo=dict(classes=classes, palette=palette),
)
loader = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
train_dataloader = dict(
    **loader,
    batch_size=batch_size,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, **train_data, pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=1,  # images keep their shapes, which differ
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, **val_data, pipeline=test_pipeline),
)
test_dataloader = dict(
    **loader,
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, **test_data, pipeline=test_pipeline),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

interval = max(1, max_epochs // 10)  # epochs between validations, and saves
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=interval)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmdavpt.TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=learning_rate, weight_decay=0.01),
    paramwise_cfg=dict(
        flat_decay_mult=0.0,  # biases and norms
        custom_keys=dict(
            bias_delta=dict(decay_mult=0.0),
            **dict.fromkeys(
                ('head', 'neck'),
                dict(lr_mult=10.0 if method == 'full' else 1.0),
            ),
        ),
    ),
)
# A tenth of the run warms up; then a cosine falls to 0.
param_scheduler = dict(
    type='mmdavpt.WarmUpCosineLR', warm_up=0.1, convert_to_iter_based=True
)
custom_hooks = [
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptMappingHook', seed=seed),  # after every epoch
    dict(type='mmdavpt.ParameterTableHook'),
]
if prompt_init and methods.get(method, tuner)['num_prompts']:
    custom_hooks += [
        dict(
            type='mmdavpt.PromptInitHook',
            method=prompt_init,
            max_images=200,
            seed=seed,
        )
    ]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    # Keep two: the old one is deleted before the new one is complete.
    # Keep no best one: it needs images that neither train nor test.
    checkpoint=dict(
        type='CheckpointHook',
        interval=interval,
        max_keep_ckpts=2,
        tuned_only=tuned_only,
    ),
)
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
randomness = dict(seed=seed)
env_cfg = dict(
    cudnn_benchmark=True,  # crops have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
