"""Validation and test score every image exactly once.

A test loader with `drop_last=True` scored 8 of 12 images and reported the
result [onedl-mmengine, ace #647].
"""

import gc
import importlib
import json
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from mmdavpt.checks.preflight import preflight
from mmdavpt.engine.runner import DAVPTRunner
from tests.test_engine.test_ranks.test_two_processes import free_port

from . import runs


@pytest.mark.parametrize('split', ['val', 'test'])
@pytest.mark.parametrize(
    'changes, said',
    [
        (dict(drop_last=True, batch_size=8), 'leaves images out of the sco'),
        (dict(num_batch_per_epoch=1), 'remove num_batch_per_epoch'),
        (dict(sampler=dict(type='InfiniteSampler')), 'or repeats some'),
        (dict(sampler=dict(type='RepeatAugSampler')), 'out of the scores'),
        (dict(wrapper='RepeatDataset', times=2), 'several times.*RepeatData'),
        (
            dict(wrapper='ClassBalancedDataset', oversample_thr=0.5),
            'counts images several times, since it is a ClassBalancedDataset',
        ),
    ],
)
def test_loaders_that_would_change_the_scores(changes, said, split, tmp_path):
    cfg = runs.classification(runs.photos(tmp_path / 'photos'))
    loader = cfg[f'{split}_dataloader'] = dict(cfg[f'{split}_dataloader'])
    changes = dict(changes)
    if wrapper := changes.pop('wrapper', None):
        inner = loader['dataset']
        loader['dataset'] = dict(type=wrapper, dataset=inner, **changes)
    else:
        loader.update(changes)
    with pytest.raises(AssertionError, match=f'`{split}_dataloader.*{said}'):
        raise AssertionError(runs.sentence(cfg, training=split == 'val'))


def test_training_that_does_not_shuffle(tmp_path):
    cfg = runs.segmentation(runs.masks(tmp_path / 'masks'))
    cfg['train_dataloader']['sampler']['shuffle'] = False
    (order,) = preflight(Config(cfg), training=True)
    assert '`train_dataloader.sampler` does not shuffle' in order


class Drop(BaseTransform):
    """Drop one image, as some transforms drop images without labels."""

    def transform(self, results):
        dropped = results['img_path'].endswith('red/1.png')
        return None if dropped else results


@pytest.mark.parametrize('split', ['val', 'test'])
def test_dropped_sample_is_not_replaced(split, tmp_path):
    """mmengine scores a random other image instead."""
    cfg = Config(runs.classification(runs.photos(tmp_path / 'photos')))
    cfg[f'{split}_dataloader'].dataset.pipeline.insert(0, dict(type=Drop))
    cfg.custom_hooks = [dict(type='mmdavpt.TrainingCheckHook')]
    cfg.train_cfg.val_interval = 1
    runner = DAVPTRunner.from_cfg(cfg)
    with pytest.raises(Exception, match='should not get `None`'):
        runner.train() if split == 'val' else runner.test()


class Seen(BaseMetric):
    """Count the images of each file, and those that are scored."""

    def process(self, data_batch, data_samples):
        self.results += [sample['img_path'] for sample in data_samples]

    def compute_metrics(self, results):
        return dict(scored=len(results), different=len(set(results)))


def scores_of_two(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'tcp://127.0.0.1:{port}',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    (folder / f'{rank}.json').write_text(json.dumps(scores(folder)))
    dist.destroy_process_group()


def scores(folder):
    """Return the scores of both tasks on odd numbers of images."""
    found = {}
    for make, metric in (
        (runs.classification, 'Accuracy'),
        (runs.segmentation, 'IoUMetric'),
    ):
        for round_up in (True, False):
            cfg = Config(make(folder / make.__name__))
            loader = cfg.test_dataloader
            loader.update(batch_size=2)
            loader.sampler.round_up = round_up
            cfg.test_evaluator = [dict(type=metric), dict(type=Seen)]
            name = f'{metric} {round_up}'
            cfg.experiment_name = f'{folder}{name}{dist.is_initialized()}'
            runner = DAVPTRunner.from_cfg(cfg)
            spread(runner.model)
            found[name] = {k: float(v) for k, v in runner.test().items()}
    return found


def spread(model):
    """Give a model weights that predict several classes."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) / 5)


@pytest.mark.forks
def test_two_processes_score_like_one(tmp_path):
    """Samplers pad the last batch; the metrics cut what was padded."""
    runs.photos(tmp_path / 'classification', number=3)
    runs.masks(tmp_path / 'segmentation', number=5)
    importlib.import_module('mmpretrain.datasets')
    importlib.import_module('mmseg.models')
    gc.collect()
    mp.start_processes(
        scores_of_two, (free_port(), tmp_path), 2, start_method='fork'
    )
    one = scores(tmp_path)
    for rank in range(2):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == one
    for name, found in one.items():
        number = 9 if 'Accuracy' in name else 5
        assert found['scored'] == found['different'] == number
    assert 1 < one['IoUMetric True']['mIoU'] < 99
