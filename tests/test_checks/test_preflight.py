"""The preflight names each kind of mistake in one sentence."""

import pytest
import torch
from mmengine.config import Config

from mmdavpt.checks.build import DryRunner
from mmdavpt.checks.preflight import preflight
from mmdavpt.errors import UsageError
from tests import toy

UNGUIDED = {'model.guidance': None, 'custom_hooks': []}
CUSTOM_KEYS = 'optim_wrapper.paramwise_cfg'


def run(changes, make=toy.classification, training=True):
    return preflight(Config(make('run', changes)), training)


@pytest.mark.parametrize('make', [toy.classification, toy.segmentation])
def test_valid_configs_pass_without_a_trace(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert run({}, make) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(tmp_path.iterdir())


def test_the_model_has_no_memory_for_its_weights(tmp_path):
    dry = DryRunner(Config(toy.classification(tmp_path)), True)
    tensors = [*dry.model.parameters(), *dry.model.buffers()]
    assert tensors and all(tensor.is_meta for tensor in tensors)
    assert len(dry.train_dataloader) == 11  # stand-in batches


@pytest.mark.parametrize(
    'changes, sentence',
    [
        ({'model.backbone.num_promts': 3}, "num_promts'; did .*'num_prompts'"),
        (
            {'model.guidance.balanced': True},
            "`model.guidance`: PromptGuidance has no argument 'balanced'; it ",
        ),
        (
            {'model.guidance.loss.metric': dict(type='Triplet', alpha=1)},
            "`model.guidance.loss.metric`: Triplet .* 'alpha'; it has margin",
        ),
        (
            {'model.backbone.tuners': [dict(type='Lora')]},
            "got 'Lora'; did you mean 'LoRA'",
        ),
        (
            {'model.backbone.tuners': [dict(type='SSF', q=1)]},
            "SSF has no argument 'q'; it has std$",
        ),
        (
            {'model.backbone.tuners': dict(type='LoRA')},
            '`tuners` should be a list of configs, .* brackets around it',
        ),
        ({'model.type': 'mmdavpt.DAVPTClassifier'}, '`model`: .*registry'),
        ({'model.head': dict(num_classes=6)}, '`model.head`: it has no `type'),
        ({'model.data_preprocessor.meen': 1}, "preprocessor`: .*'meen'; did"),
        ({'train_dataloader': None}, 'train loop needs .*lacks train_data'),
        ({'val_cfg': None}, 'val loop needs .* but lacks val_cfg'),
        ({'model': None}, 'model should be a nn.Module .* got None'),
        ({'train_dataloader.batchsize': 1}, "`train_dataloader`: .*'batch_si"),
        ({'train_dataloader.dataset.type': 'G'}, 'loader.dataset`: .*registr'),
        (
            {'train_dataloader.dataset.pipeline.0.key': 1},
            'dataset.pipeline.0`: PackInputs has no argument',
        ),
        ({'train_dataloader.sampler.type': 'x'}, 'sampler`: .*data sampler'),
        (
            {'train_dataloader.persistent_workers': True},
            'needs num_workers > 0',
        ),
        ({'optim_wrapper.optimizer.type': 'Adm'}, "optimizer.type`: 'Adm'"),
        ({'optim_wrapper.optimizer.lr': -1}, 'Invalid learning rate'),
        ({'optim_wrapper.clip_gradd': {}}, "has no argument 'clip_gradd'"),
        (
            {'param_scheduler': [dict(type='StepLR')]},
            '`param_scheduler.0`: .*',
        ),
        ({'custom_hooks.0.refresh': 'x'}, '`custom_hooks.0`: '),
        ({'val_evaluator': dict(type='Acc')}, '`val_evaluator`: .*registry'),
        ({'train_cfg.max_iter': 3}, "`train_cfg`: EpochBased.*'max_iter'"),
        ({'visualizer': dict(type='x')}, '`visualizer`: .*registry'),
        ({'log_processor': dict(x=1)}, '`log_processor`: .*no argument'),
    ],
)
def test_reports_parts_that_cannot_be_built(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(changes)


@pytest.mark.parametrize(
    'changes, sentence',
    [
        ({'env_cfg': dict(cudnn_bench=True)}, 'env_cfg.cudnn_bench`; did you'),
        ({'auto_scale_lr': dict(base_batch=2)}, 'reads `auto_scale_lr.base_b'),
        (
            {CUSTOM_KEYS: dict(bias_lr_mul=2)},
            "_cfg.bias_lr_mul`; .*'bias_lr_",
        ),
        (
            {CUSTOM_KEYS: dict(custom_keys=dict(head=dict(lr_mul=2)))},
            "head.lr_mul`; did you mean 'lr_mult'",
        ),
        (
            {'default_hooks.chekpoint': dict(type='CheckpointHook')},
            "instead of replacing it; did you mean 'checkpoint'",
        ),
        ({'data_preprocessor': dict(mean=[1, 2, 3])}, 'hides .*ssor.mean`'),
        (
            {**UNGUIDED, 'model.head.num_classes': 1},
            'head.num_classes` is 1, so that all scores would be meaningle',
        ),
        (
            {'val_dataloader.drop_last': True, 'val_dataloader.batch_size': 7},
            'leaves images out of the scores or .* set drop_last=False',
        ),
        ({'val_dataloader.sampler.type': 'InfiniteSampler'}, 'repeats some'),
        (
            {'train_dataloader.sampler.type': 'InfiniteSampler'},
            'ends, but the',
        ),
        (
            {'param_scheduler': [dict(type='CosineAnnealingLR', begin=2)]},
            '`param_scheduler.0`: .* begins at 2, but the training ends at 2',
        ),
        ({'model.head.num_classes': 5}, '6 classes, .* num_classes=5'),
        (
            {
                'model.head': dict(
                    type='MultiLabelLinearClsHead',
                    num_classes=6,
                    in_channels=32,
                )
            },
            'guidance needs one class per image',
        ),
        (
            {'model.head.init_cfg': dict(type='Pretrained', checkpoint='x')},
            'weights x do not exist; .*model.head.init_cfg.checkpoint=FILE',
        ),
    ],
)
def test_silent_mistakes(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(changes)


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (
            {'model.num_classes': 12},
            'classes is 12, but .* remove the other',
        ),
        (
            {'model.test_cfg.strid': 1},
            'nothing reads `model.test_cfg.strid`; did',
        ),
        (
            {'val_evaluator.iou_metric': 1},
            "reads .*iou_metric`; .*'iou_metrics'",
        ),
        (
            {'model.data_preprocessor.seg_pad_val': 3},
            'padding would be learnt',
        ),
        (
            {'default_hooks.checkpoint.by_epoch': True},
            'not act before the end',
        ),
        (
            {'param_scheduler': dict(type='PolyLR')},
            '`param_scheduler.by_epoch` is True, .* not act before',
        ),
        (
            {
                'model.decode_head.out_channels': 1,
                'model.decode_head.threshold': 0.3,
            },
            'CrossEntropyLoss of `model.decode_head` is 0 for right lab',
        ),
        (
            {
                'train_dataloader.dataset': dict(
                    type='BaseSegDataset',
                    metainfo=dict(classes='red'),
                    pipeline=[],
                )
            },
            "classes` is the text 'red', .*list the names",
        ),
    ],
)
def test_silent_mistakes_of_segmentation(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(changes, toy.segmentation)


def test_warnings():
    assert run({'default_hooks.checkpoint.tuned_only': True}) == []
    late = dict(type='PolyLR', by_epoch=False, begin=5000)
    assert run({'param_scheduler': [late]}) == []
    more = {'model.head.num_classes': 9, 'model.guidance': None}
    assert run({**more, 'custom_hooks': []}) == []
    (warm_up,) = run({'param_scheduler': [dict(type='LinearLR', end=9)]})
    assert 'warms up until 9, but the training ends at 2' in warm_up
    (order,) = run({'train_dataloader.sampler.shuffle': False})
    assert 'does not shuffle' in order
    unused = dict(custom_keys=dict(prompts=dict(), foot=dict(lr_mult=2)))
    (pattern,) = run({CUSTOM_KEYS: unused})
    assert 'no name of a trained parameter: foot' in pattern
    (unread,) = run({'model.test_cfg.colour': 1}, toy.segmentation)
    assert 'nothing reads `model.test_cfg.colour`' in unread


def test_a_test_needs_only_its_own_loop():
    cfg = toy.classification('run')
    for part in ('dataloader', 'evaluator', 'cfg'):
        cfg[f'test_{part}'] = cfg[f'val_{part}']
    del cfg['train_dataloader'], cfg['optim_wrapper'], cfg['train_cfg']
    assert preflight(Config(cfg), training=False) == []
    cfg['test_dataloader'].update(drop_last=True, batch_size=7)
    with pytest.raises(UsageError, match='leaves images out of the scores'):
        preflight(Config(cfg), training=False)


def test_missing_data_does_not_hide_a_misspelt_transform():
    dataset = dict(
        type='CustomDataset', data_root='gone', pipeline=[dict(type='Pack')]
    )
    with pytest.raises(UsageError, match=r'dataset.pipeline.0`: .*Pack'):
        run({'train_dataloader.dataset': dataset})
    dataset['pipeline'] = [dict(type='PackInputs')]
    assert run({'train_dataloader.dataset': dataset}) == []
