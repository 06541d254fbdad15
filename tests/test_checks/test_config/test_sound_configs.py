"""What the hosts take is not refused."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from mmdavpt.checks.config.build_check import built_model
from mmdavpt.checks.config.config_check import check_config
from mmdavpt.checks.config.key_check import check_keys
from mmdavpt.errors import UsageError
from tests import toy


def checked(cfg):
    check_config(Config(cfg), True)


class OwnHook(Hook):
    pass


class OwnConstructor:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        pass


UNGUIDED = {'model.guidance': None, 'custom_hooks': []}
MIXES = [dict(type='Mixup', alpha=0.2), dict(type='CutMix', alpha=1.0)]
RANDAUG = dict(
    type='RandAugment',
    policies=[
        dict(
            type='Posterize', magnitude_key='bits', magnitude_range=(4.0, 0.0)
        )
    ],
    num_policies=1,
    magnitude_level=4.9,
)
SGD = dict(type='SGD', lr=0.1)
LAYER_DECAY = {
    'optim_wrapper.constructor': 'LearningRateDecayOptimWrapperConstructor',
    'optim_wrapper.paramwise_cfg': dict(layer_decay_rate=0.6, num_layers=2),
    'optim_wrapper.optimizer.weight_decay': 0.05,
}
LINEAR = dict(
    type='LinearNeck', in_channels=32, out_channels=32, norm_cfg=None
)
NORMAL = dict(type='Normal', layer='Linear', std=0.01)


@pytest.mark.parametrize(
    'changes',
    [
        {**UNGUIDED, 'model.train_cfg': dict(augments=MIXES)},
        {**UNGUIDED, 'model.train_cfg': dict(augments=MIXES[0])},
        {
            **UNGUIDED,
            'model.data_preprocessor.batch_augments': dict(augments=MIXES),
        },
        {'custom_hooks.0.priority': 'LOW'},
        {
            'custom_hooks': [
                dict(type='mmdavpt.PromptMappingHook', priority=50),
                dict(type='EarlyStoppingHook', monitor='loss', priority=80),
                dict(type='PreciseBNHook', priority='VERY_LOW'),
                dict(type=OwnHook, priority='HIGHEST'),
            ]
        },
        {'default_hooks.checkpoint.priority': 'HIGH'},
        {'default_hooks.logger': dict(type='LoggerHook', priority=60)},
        LAYER_DECAY,
        {
            'optim_wrapper': dict(
                constructor=OwnConstructor,
                prompts=dict(
                    type='OptimWrapper', optimizer=SGD, paramwise_cfg=None
                ),
                head=dict(type='OptimWrapper', optimizer=SGD),
            ),
            'param_scheduler': dict(
                prompts=dict(type='LinearLR', convert_to_iter_based=True),
                head=[dict(type='LinearLR', end=1)],
            ),
        },
        {
            'optim_wrapper.paramwise_cfg': dict(
                custom_keys=dict(bn=dict(lars_exclude=True))
            ),
            'optim_wrapper.optimizer': dict(type='LARS', lr=0.1),
        },
        {
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.loss_scale': 512.0,
        },
        {
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.loss_scale': dict(init_scale=512.0),
        },
        {'model.init_cfg': [NORMAL, NORMAL], 'model.head.init_cfg': [NORMAL]},
        {**UNGUIDED, 'model.neck': [LINEAR, LINEAR]},
        {'train_dataloader.dataset.lazy_init': True},
        {'default_hooks.logger': None, 'default_hooks.timer': None},
        {'model.head.loss.loss_weight': 2},
        {
            'train_dataloader.dataset.pipeline': [
                RANDAUG,
                dict(type='PackInputs'),
            ]
        },
        {'optim_wrapper.clip_grad': dict(type='value', clip_value=1.0)},
        {'optim_wrapper.clip_grad': dict(max_norm=1.0, norm_type=2)},
        {'val_evaluator': dict(metrics=[dict(type='Accuracy', topk=1)])},
        {'log_level': 20, 'resume': None},
        {'model.data_preprocessor.mean': [9], 'model.backbone.in_channels': 1},
    ],
)
def test_what_the_hosts_take_passes(tmp_path, changes):
    checked(toy.classification(tmp_path, changes))


PLATEAU = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater')
BY_ITERS = dict(type='CheckpointHook', by_epoch=False, interval=1)


@pytest.mark.parametrize(
    'changes',
    [
        {'val_evaluator.iou_metrics': 'mIoU'},
        {'param_scheduler': [PLATEAU]},
        {'model.decode_head.in_index': -2},
        {'param_scheduler': dict(type='PolyLR', convert_to_iter_based=True)},
        {'default_hooks': dict(checkpoint=BY_ITERS)},
        {'default_hooks.logger': dict(type='LoggerHook', interval=50)},
    ],
)
def test_what_the_hosts_take_by_iterations_passes(tmp_path, changes):
    checked(toy.segmentation(tmp_path, changes))


@pytest.mark.parametrize(
    'backbone,width,neck',
    [
        (dict(type='ResNet', depth=18), 512, 'GlobalAveragePooling'),
        (
            dict(type='SwinTransformer', arch='tiny'),
            768,
            'GlobalAveragePooling',
        ),
        (
            dict(
                type='SwinTransformer',
                arch=dict(embed_dims=24, depths=[1] * 4, num_heads=[1] * 4),
            ),
            192,
            'GlobalAveragePooling',
        ),
        # One that needs the values of its weights is not looked into.
        (dict(type='LeViT', arch='128s', deploy=True), 384, None),
        (dict(type='RevVisionTransformer', arch='deit-tiny'), 384, None),
    ],
)
def test_unguided_classifiers_of_the_host_pass(
    tmp_path, backbone, width, neck
):
    cfg = toy.classification(tmp_path, UNGUIDED)
    cfg['model'] = dict(
        type='ImageClassifier',
        data_preprocessor=cfg['model']['data_preprocessor'],
        backbone=backbone,
        neck=neck and dict(type=neck),
        head=dict(cfg['model']['head'], in_channels=width),
    )
    checked(cfg)


STDC = dict(
    type='STDCHead',
    in_channels=32,
    channels=8,
    num_convs=1,
    num_classes=2,
    boundary_threshold=0.1,
    loss_decode=[
        dict(type='CrossEntropyLoss', use_sigmoid=True),
        dict(type='DiceLoss'),
    ],
)


@pytest.mark.parametrize(
    'backbone,width,changes',
    [
        (
            dict(
                type='VisionTransformer',
                img_size=32,
                embed_dims=48,
                num_layers=2,
                num_heads=4,
                out_indices=(0, 1),
            ),
            48,
            {'auxiliary_head': dict(STDC, in_channels=48, in_index=0)},
        ),
        (dict(type='MixVisionTransformer', embed_dims=16), 32, {}),
    ],
)
def test_unguided_segmentors_of_the_host_pass(
    tmp_path, backbone, width, changes
):
    cfg = toy.segmentation(tmp_path, {'custom_hooks': []})
    model = cfg['model']
    del model['guidance']
    for head in (model['decode_head'], *model['auxiliary_head']):
        head['in_channels'] = width
    model.update(type='EncoderDecoder', backbone=backbone, **changes)
    checked(cfg)


def test_a_metric_that_makes_folders_is_not_built(tmp_path):
    folder = tmp_path / 'maps'
    checked(
        toy.segmentation(tmp_path, {'val_evaluator.output_dir': str(folder)})
    )
    assert not folder.exists()


def test_a_constructor_for_other_backbones(tmp_path):
    """Its options are its own, but the host has it for some backbones only."""
    cfg = toy.segmentation(tmp_path)
    cfg['optim_wrapper'].update(
        constructor='LearningRateDecayOptimizerConstructor',
        paramwise_cfg=dict(num_layers=2, decay_rate=0.9),
    )
    check_keys(cfg)
    cfg['optim_wrapper']['optimizer']['weight_decay'] = 0.05
    with pytest.raises(UsageError, match=r'add_params fails .NotImplement'):
        checked(cfg)


POINTS = dict(
    type='PointHead',
    in_channels=[32],
    in_index=[0],
    channels=8,
    num_classes=27,
    norm_cfg=dict(type='BN'),
)


def test_options_that_a_head_reads_itself_pass(tmp_path):
    cfg = toy.segmentation(tmp_path, {'custom_hooks': []})
    model = cfg['model']
    coarse = dict(model['decode_head'], type='FCNHead')
    del coarse['up_scale']
    del model['guidance'], model['auxiliary_head']
    model.update(
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[coarse, POINTS],
        train_cfg=dict(num_points=9, oversample_ratio=3),
        test_cfg=dict(mode='whole', subdivision_steps=2, scale_factor=2),
    )
    check_keys(cfg)
    model['decode_head'] = [coarse, coarse]
    with pytest.raises(UsageError, match='has no key `num_points`'):
        check_keys(cfg)


def test_models_are_built_without_memory_and_without_draws(tmp_path):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    model = built_model(toy.classification(tmp_path))
    tensors = [*model.parameters(), *model.buffers()]
    assert tensors and all(tensor.is_meta for tensor in tensors)
    assert not model.backbone.patch_embed.projection.weight.requires_grad
    assert model.head.fc.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert not nn.Linear(2, 2).weight.is_meta
