"""What a run refuses to start with, found in the config alone."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdavpt.checks.config.config_check import check_config
from mmdavpt.cli.protocol import with_protocol
from mmdavpt.errors import UsageError
from tests import toy

CONFIGS = Path(__file__).parents[3] / 'configs'
SLIDE = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
NORMAL = dict(type='Normal', layer='Linear', std=0.01)
OWN_CONSTRUCTOR = 'mmdavpt.TrainableOptimWrapperConstructor'
TWO_CLASSES = dict(
    type='CustomDataset',
    data_root='/nowhere',
    metainfo=dict(classes=['a', 'b']),
    pipeline=[dict(type='PackInputs')],
)
RESIZED = [
    dict(type='RandomCrop', crop_size=(64, 64)),
    dict(type='PackSegInputs'),
]


def checked(cfg, training=True):
    check_config(Config(cfg), training)


def test_sound_configs_pass(tmp_path):
    whole = dict(
        env_cfg=dict(
            cudnn_benchmark=False,
            mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
            dist_cfg=dict(backend='nccl', timeout=60),
            resource_limit=4096,
        ),
        auto_scale_lr=dict(enable=False),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
        val_cfg=dict(type='ValLoop'),
    )
    checked(toy.classification(tmp_path, whole))
    checked(toy.segmentation(tmp_path, {'model.test_cfg': SLIDE}))
    for name in (
        'glyphs/davpt_glyphs.py',
        'glyphs/setr_davpt_glyphs.py',
        'glyphs/pretrain_glyphs.py',
    ):
        for training in (True, False):
            check_config(Config.fromfile(CONFIGS / name), training)


def test_schedules_are_noted(tmp_path):
    changes = {'param_scheduler': [dict(type='LinearLR', end=9)]}
    (note,) = check_config(toy.classification(tmp_path, changes), True)
    assert note.startswith('`param_scheduler.0` (LinearLR) warms up for 9')


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    sorted(p.name for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts),
)
def test_every_config_passes(name, monkeypatch):
    for part in ('check_pretrained', 'check_weights'):  # may not be there
        monkeypatch.setattr(
            f'mmdavpt.checks.config.config_check.{part}', lambda *args: None
        )
    (path,) = CONFIGS.rglob(name)
    cfg = Config.fromfile(path)
    for protocol in cfg.get('protocols') or [None]:
        check_config(with_protocol(cfg, protocol), True)


@pytest.mark.parametrize(
    'changes,sentence',
    [
        ({'model.backbone.num_promts': 3}, 'no key `num_promts`; .*prompts`'),
        ({'model.guidance.loss.tokenweight': 1}, 'mean .*`token_weight`'),
        ({'default_hooks.checkpoint.intervall': 1}, 'mean `interval`'),
        ({'default_hooks.chekpoint': {}}, 'mean `checkpoint`'),
        ({'train_cfg.max_epochs': '3'}, 'max_epochs` should be int, .*3'),
        ({'train_cfg.max_epochs': 0}, 'max_epochs` should be at least 1'),
        ({'train_cfg.type': 'EpochBasedTrainLoop'}, 'both `type` and `by'),
        ({'train_dataloader': 3}, '`train_dataloader` should be .*dict'),
        ({'train_dataloader': None}, 'but `train_dataloader` is missing'),
        ({'val_cfg': None}, 'only `val_dataloader`, `val_evaluator` are set'),
        (
            {'val_cfg': None, 'val_evaluator': None},
            'only `val_dataloader` is set',
        ),
        ({'train_dataloader.batch_size': 0}, 'batch_size` should be at least'),
        ({'train_dataloader.num_workers': -1}, 'num_workers` should be 0 or'),
        (
            {
                'train_dataloader.persistent_workers': True,
                'val_dataloader.persistent_workers': True,
                'val_dataloader.prefetch_factor': 2,
                'val_dataloader.timeout': 9,
            },
            '`train_dataloader.persistent_workers` is True, but `num_workers` '
            'is 0; have workers, or set --cfg-options '
            'train_dataloader.persistent_workers=False '
            'val_dataloader.persistent_workers=False '
            'val_dataloader.prefetch_factor=None val_dataloader.timeout=0$',
        ),
        (
            {'model.backbone.arch': 'deit-tny'},
            'model.backbone.arch` should be out of s, small, b, base, .*, but '
            "is 'deit-tny'; did you mean 'deit-tiny'",
        ),
        ({'val_dataloader.sampler.type': 'InfiniteSampler'}, 'never ends'),
        ({'train_dataloader.sampler.type': 'InfiniteSampler'}, 'counts epoch'),
        (
            {
                'train_dataloader.sampler.type': 'InfiniteSampler',
                'train_dataloader.num_batch_per_epoch': 2,
            },
            'never ends, but the training counts epochs',
        ),
        ({'custom_hooks.0.priority': 'HIHG'}, r'priority` cannot be .*HIHG'),
        ({'custom_hooks.0.priorty': 'HIGH'}, 'mean `priority`'),
        ({'val_evaluator': dict(metrics=[dict(type='x')])}, 'metrics.0.type'),
        ({'model.backbone.arch.depths': 3}, 'no key `depths`'),
        ({'optim_wrapper.paramwise_cfg': dict(layer_decay_rate=1)}, 'no key'),
        (
            {
                'optim_wrapper.paramwise_cfg': dict(
                    custom_keys=dict(a=dict(lr_mul=2))
                )
            },
            'mean `lr_mult`',
        ),
        ({'param_scheduler': dict(begin=2)}, 'er` should have a `type`'),
        ({'model.head.num_classes': '6'}, 'num_classes` should be int, but'),
        ({'train_dataloader.sampler': {}}, 'sampler` should have a `type`'),
        ({'train_dataloader.dataset.type': 'Gone'}, "'Gone', which no regis"),
        ({'optim_wrapper.optimizer.lr': -1}, 'optimizer` .*[Ii]nvalid learn'),
        ({'optim_wrapper.optimizer.type': 'Adm'}, "'Adm', which no registry"),
        ({'param_scheduler': dict(type='LinearLR', begin=5)}, 'begins after'),
        ({'param_scheduler': dict(type='StepLR')}, "missing .*'step_size'"),
        ({'model.head.in_channels': 7}, 'is 7, but the backbone gives 32'),
        ({'model.head.num_classes': 5}, 'head.num_classes is 5, .* is 6'),
        ({'model.backbone.arch.num_heads': 5}, 'cannot be run on an image'),
        ({'model.backbone.num_prompts': -1}, '`model` cannot be built'),
        ({'model.backbone.out_indices': [9]}, '`model` cannot be built'),
        ({'model.backbone.num_prompts': [3]}, '`model` cannot be built'),
        ({'model.guidance.guided_layers': [7]}, 'guided_layers` should hold'),
        (
            {'val_dataloader.dataset': TWO_CLASSES},
            'is 6, the classes of val_dataloader.dataset are 2',
        ),
        ({'val_evaluator.topk': [1, 7]}, 'topk` is .*only 6 classes'),
        ({'train_dataloader.dataset.pipeline': []}, 'should end in PackInp'),
        ({'train_dataloader.dataset.faces': 'x'}, 'dataset` cannot be built'),
        ({'default_hooks.checkpoint': {}}, 'checkpoint` should have a `type'),
        ({'optim_wrapper': [3]}, '`optim_wrapper` should be'),
        ({'model.head': 3}, 'model.head` should be a dict'),
        ({'model.data_preprocessor.mean': [1, 2]}, '2 in `mean` and 3 in'),
        ({'model.data_preprocessor.std': [1, 0, 1]}, 'std` should be posi'),
        ({'val_evaluator.topk': 'x'}, 'topk` should be'),
        ({'train_dataloader.num_workers': '2'}, 'workers` should be int, bu'),
        ({'train_dataloader.num_workers': float('inf')}, 'should be int, but'),
        ({'val_dataloader.drop_last': 4}, 'drop_last` should be True or Fa'),
        ({'val_dataloader.batch_size': True}, 'at least 1, but is True'),
        ({'default_hooks.own': None}, 'own` should be a dict .* no such hook'),
        ({'model.head.loss.loss_weight': 'BN'}, 'weight` should be float, bu'),
        ({'val_dataloader.drop_last': 'x'}, 'drop_last` should be bool, but'),
        ({'randomness': dict(deterministic=True)}, 'should have a `seed`'),
        ({'randomness': dict(seed=0, type='BN')}, 'has no key `type`; it ta'),
        ({'randomness': [3]}, '`randomness` should be'),
        ({'randomness.deterministic': 'x'}, 'deterministic` should be bool'),
        ({'env_cfg': dict(mp_cfg=0.5)}, 'mp_cfg` should be a dict, but is 0'),
        ({'env_cfg': dict(dist_cfg=None)}, 'dist_cfg` should be a dict'),
        (
            {'env_cfg': dict(mp_cfg=dict(mp_start_method='x'))},
            "mp_start_method` should be out of fork, .*'x'",
        ),
        (
            {'env_cfg': dict(mp_cfg=dict(opencv_num_threads='1'))},
            'opencv_num_threads` should be int',
        ),
        ({'env_cfg': dict(resource_limit='x')}, 'a number of open files'),
        ({'auto_scale_lr': dict(enable=True)}, 'base_batch_size` should be'),
        (
            {'train_cfg': dict(type='ValLoop')},
            '`train_cfg`.* have `evaluator`',
        ),
        ({'train_cfg': dict(type='EpochBasedTrainLoop')}, '`max_epochs`'),
        (
            {'val_cfg': dict(type='EpochBasedTrainLoop', max_epochs=1)},
            'which takes no evaluator, and is no loop for a val dataloader',
        ),
        ({'model.head.init_cfg': dict(a=1)}, 'init_cfg` should have a `type`'),
        (
            {'model.head.init_cfg': [dict(NORMAL, std=-1.0)]},
            'model.head.init_cfg` cannot be used: .*std',
        ),
        (
            {'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.0)},
            'base_wd should not be None',
        ),
        (
            {
                'optim_wrapper.constructor': OWN_CONSTRUCTOR,
                'optim_wrapper.paramwise_cfg': dict(norm_decay_mul=0.0),
            },
            'no key `norm_decay_mul`; did you mean `norm_decay_mult`',
        ),
        ({'randomness.seed': -1}, 'number of at least 0, but is -1'),
        ({'randomness.seed': 'a'}, 'seed` should be None or a whole number'),
        ({'custom_hooks': []}, 'nothing keeps the class-to-prompt mapping'),
        ({'train_cfg': {}}, 'by_epoch=True should have `max_epochs`'),
        ({'train_cfg': {2.5: 1}}, '`train_cfg` has 2.5 as a key, which is no'),
        ({'train_cfg.by_epoch': 'x'}, 'by_epoch` should be'),
        ({'val_dataloader.batch_size': 1.5}, 'batch_size` should be int or'),
        ({'optim_wrapper': dict(clip_grad=None)}, 'have an `optimizer`'),
        (
            {'model.data_preprocessor.mean': [float('inf')] * 3},
            'mean` should be a list of finite numbers',
        ),
        ({'work_dir': '/dev/null/runs'}, '/dev/null is no folder'),
        (
            {
                'model.backbone.init_cfg': dict(
                    type='Pretrained', checkpoint='a'
                )
            },
            'weights a do not exist',
        ),
    ],
)
def test_mistakes_of_classification(tmp_path, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        checked(toy.classification(tmp_path, changes))


@pytest.mark.parametrize(
    'changes,sentence',
    [
        ({'default_hooks.checkpoint.by_epoch': True}, 'save nothing before'),
        ({'default_hooks.logger.log_metric_by_epoch': True}, 'log_metric_by'),
        ({'log_processor': None}, '`log_processor.by_epoch` is True'),
        ({'param_scheduler': [dict(type='PolyLR')]}, 'would never act'),
        ({'model.decode_head.in_index': 2}, 'in_index` is 2, .* 2 features'),
        ({'model.auxiliary_head.0.num_classes': 5}, 'head.0.num_classes is 5'),
        ({'model.test_cfg': dict(mode='slide')}, 'crop_size. '),
        ({'model.test_cfg': dict(SLIDE, stride=(64, 9))}, 'no stride larger'),
        ({'model.test_cfg': dict(mode='slid')}, "'whole', but is 'slid'"),
        ({'model.data_preprocessor.seg_pad_val': 0}, 'learnt as a class'),
        ({'train_dataloader.dataset.pipeline': RESIZED}, 'larger than'),
        ({'val_evaluator.iou_metrics': ['mIOU']}, 'out of mIoU, .*has mIOU'),
        ({'model.decode_head.loss_decode.class_weight': [1]}, 'has 1 weights'),
        ({'model.data_preprocessor': None}, 'should have a `data_preproc'),
        ({'model.data_preprocessor.size': 48}, 'preprocessor` cannot be use'),
        ({'model.data_preprocessor.size': None}, 'preprocessor` cannot be u'),
        ({'model.train_cfg': dict(num_points=9)}, 'has no key `num_points`'),
    ],
)
def test_mistakes_of_segmentation(tmp_path, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        checked(toy.segmentation(tmp_path, changes))


def test_weights_that_do_not_fit(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'glyphs/davpt_glyphs.py')
    cfg.model.backbone.arch.num_layers = 5
    with pytest.raises(UsageError, match='vit-tiny_glyphs.pth.*6 layers'):
        check_config(cfg, True)
    check_config(cfg, False)  # a test needs them not
