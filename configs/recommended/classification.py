"""Classify your own images: a starting point with all settings at the top.

Command: mmdavpt train configs/recommended/classification.py
    once the settings are yours. `mmdavpt train FOLDER` writes this file with
    the settings of a folder to work_dirs/FOLDER, and trains.
Data: FOLDER/[train,val,test/]CLASS/IMAGE
Hardware: one GPU. On a CPU: arch = 's', size = 112, batch_size = 8.
Each setting works on the command line too: --cfg-options lr=3e-3
README.md in this folder says where the defaults come from.
"""

import os

# ---- data ----
data_root = 'data/images'
# Arguments of mmdavpt.ImageFolder: data_prefix is a folder of data_root with
# a folder for each class, and ann_file lists some of its images.
train_data = dict(data_prefix='train')
val_data = dict(data_prefix='val')
test_data = dict(data_prefix='val')
# The names of the folders.
classes = ['class_0', 'class_1']

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
# davpt, davpt-plus, vpt, linear, mp, mp-plus, full, bias, lora, adaptformer,
# or the type of another tuner (docs/tuners.md)
method = 'davpt'
num_prompts = 20  # of each layer; E2VPT has 5
# Prompts start as centers of the layer's tokens; None: random, as in VPT.
prompt_init = 'kmeans'
token_weight = 0.1  # beta of eq. 5, the guidance of tokens
cls_weight = 0.1  # lambda of eq. 5, the guidance of [CLS]

# ---- training ----
size = 224  # of an image in pixels, a multiple of patch_size
batch_size = 32  # images of each GPU
max_epochs = 100
lr = None  # tune it first, by factors of 3; None: see `learning_rate`
seed = 0
num_workers = min(4, os.cpu_count() or 1)  # processes that load images
work_dir = None  # logs and checkpoints; None: work_dirs/NAME_OF_THIS_FILE
tuned_only = True  # checkpoints without the frozen weights, a few MB each

# ---- everything below follows from the settings ----
default_scope = 'mmpretrain'
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
probing = dict(num_prompts=0, out_type='raw')  # [CLS] and patches
methods = {
    'davpt': prompts,
    'davpt-plus': dict(prompts, bias=('k', 'v')),
    'vpt': prompts,
    'linear': dict(num_prompts=0),
    'mp': dict(probing),  # only the head, like linear
    'mp-plus': dict(probing, tuners=[dict(type='PSRP')]),
    'full': dict(num_prompts=0, trainable=('*',)),
    'bias': dict(num_prompts=0, trainable=('*.bias',)),
    'lora': dict(num_prompts=0, tuners=[dict(type='LoRA')]),
    'adaptformer': dict(num_prompts=0, tuners=[dict(type='AdaptFormer')]),
    'E2VPT': dict(num_prompts=5, tuners=[dict(type='E2VPT')]),
}
tuner = dict(num_prompts=0, tuners=[dict(type=method)])
# For 32 images; AdamW's rate grows with the square root of the batch.
high = ('davpt', 'davpt-plus', 'vpt', 'e2vpt', 'linear', 'mp', 'adaptformer')
rates = dict.fromkeys(high, 5e-3) | dict(full=2e-5)
default_lr = rates.get(method.lower(), 1e-3)
learning_rate = lr or default_lr * (batch_size / 32) ** 0.5
if timm_model is None:
    backbone = dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=vit,
        patch_size=patch_size,
    )
else:
    backbone = dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name=timm_model,
        out_type='pooled',  # the feature that the model itself classifies
    )
moments = method in ('mp', 'mp-plus')
guidance = dict(
    guided_layers=(-1,),
    normalize='layer',  # before k-means, as in the released code
    loss=dict(
        type='mmdavpt.DAVPTLoss',
        token_weight=token_weight,
        cls_weight=cls_weight,
    ),
)

model = dict(
    type='mmdavpt.DAVPTImageClassifier',
    backbone=dict(
        **{**backbone, **methods.get(method, tuner)},
        img_size=size,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
        frozen_dtype=frozen_dtype,
        **backbone_options,
    ),
    head=dict(
        type='mmdavpt.MomentProbingHead' if moments else 'LinearClsHead',
        num_classes=num_classes,
        in_channels=vit['embed_dims'],
        loss=dict(type='CrossEntropyLoss'),
    ),
    guidance=guidance if method.startswith('davpt') else None,
)
data_preprocessor = dict(mean=mean, std=std, to_rgb=True)

bicubic = dict(backend='pillow', interpolation='bicubic')
flips = [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=size, **bicubic),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
load_center = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=size * 8 // 7, edge='short', **bicubic),
    dict(type='CenterCrop', crop_size=size),
]
test_pipeline = [*load_center, dict(type='PackInputs')]
tta_pipeline = [
    *load_center,
    dict(type='TestTimeAug', transforms=[flips, [dict(type='PackInputs')]]),
]
tta_model = dict(type='AverageClsScoreTTA')

dataset = dict(
    type='mmdavpt.ImageFolder',
    data_root=data_root,
    metainfo=dict(classes=classes),
)
loader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, **train_data, pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, **val_data, pipeline=test_pipeline),
)
test_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, **test_data, pipeline=test_pipeline),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5) if num_classes > 5 else (1,))
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
        custom_keys=dict(bias_delta=dict(decay_mult=0.0)),
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
    type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
randomness = dict(seed=seed)
env_cfg = dict(
    cudnn_benchmark=True,  # crops have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
