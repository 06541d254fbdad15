"""Training from cached tokens: the same bits, without the frozen layers."""

import copy
import importlib
import os
import pickle
import socket
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, TRANSFORMS
from mmengine.runner import Runner

from mmdavpt.cli.experiment_table import build_config, read_table
from mmdavpt.datasets.glyphs.dataset import GlyphDataset, GlyphSceneDataset
from mmdavpt.engine.hooks import PrefixCacheHook
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from mmdavpt.mapping import first_pass_loader
from mmdavpt.models.tuners import LoRA
from mmdavpt.registry import TUNERS
from tests import toy


@TUNERS.register_module(force=True)
class LoRAOfTheLastLayer(LoRA):
    """LoRA in the last layer; the others run with it, and it does nothing."""

    def project(self, layer, part, x, y):
        last = layer == self.sizes.num_layers - 1
        return super().project(layer, part, x, y) if last else y


@OPTIM_WRAPPERS.register_module(force=True)
class CPUAutocast(OptimWrapper):
    """The context of AmpOptimWrapper in bfloat16, without its GPU."""

    @contextmanager
    def optim_context(self, model):
        with torch.autocast('cpu', torch.bfloat16):
            yield


class Recorder(Hook):
    """Keep losses, labels and inputs of each iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.losses, self.labels, self.batches = [], [], []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append({k: v.item() for k, v in outputs.items()})
        inputs = torch.stack([*data_batch['inputs']])
        self.batches.append(inputs if inputs.dim() == 3 else None)
        for sample in data_batch['data_samples']:
            label = sample.get('gt_label', sample.get('gt_sem_seg'))
            label = getattr(label, 'data', label)
            label = label[label != 255]  # without padding
            self.labels.append((sample.get('guidance_label'), label.tolist()))


def train(cfg, hook=None, runner_type=DAVPTRunner, extra=None):
    """Train, and return the runner and what was recorded."""
    if hook is not None:
        cfg['custom_hooks'] = [hook, *cfg['custom_hooks']]
    runner = runner_type.from_cfg(Config(cfg))
    recorder = Recorder()
    runner.register_hook(recorder)
    if extra is not None:
        runner.register_hook(extra)
    runner.train()
    return runner, recorder


def cached(**kwargs):
    return dict(type='mmdavpt.PrefixCacheHook', **kwargs)


def trained(runner):
    model = runner.model
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: value.detach() for name, value in named}


def assert_same_run(one, other):
    runner, plain = one
    same, from_tokens = other
    assert plain.losses == from_tokens.losses and plain.losses
    assert plain.labels == from_tokens.labels
    expected, found = trained(runner), trained(same)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


TIMM = dict(
    type='mmdavpt.DAVPTTimmViT',
    model_name='vit_small_patch16_dinov3',  # registers and rotary
    patch_size=8,
    img_size=32,
    embed_dim=32,
    num_heads=2,
    depth=2,
    num_prompts=(0, 3),
    out_type='avg_featmap',
)
GLYPHS = toy.classification('')['train_dataloader']['dataset']
UPPER = {'model.backbone.num_prompts': (0, 3)}
NONE = {'model.guidance': None, 'model.backbone.num_prompts': 0}
CASES = {
    'guided prompts': (toy.classification, UPPER, (8, 17, 32)),
    'linear': (toy.classification, NONE, (8, 1, 32)),
    'tuner': (
        toy.classification,
        {**NONE, 'model.backbone.tuners': [dict(type='LoRAOfTheLastLayer')]},
        (8, 17, 32),
    ),
    'initialized prompts, workers': (
        toy.classification,
        {
            **UPPER,
            'custom_hooks': [
                dict(type='mmdavpt.TrainingCheckHook'),
                dict(type='mmdavpt.PromptInitHook'),
                dict(type='mmdavpt.PromptMappingHook'),
            ],
            'train_dataloader.num_workers': 1,
        },
        (8, 17, 32),
    ),
    'frozen weights in bfloat16': (
        toy.classification,
        {**UPPER, 'model.backbone.frozen_dtype': 'bfloat16'},
        (8, 17, 32),
    ),
    'timm': (toy.classification, {'model.backbone': TIMM}, (8, 21, 32)),
    'stacked images': (
        toy.classification,
        {**UPPER, 'train_dataloader.collate_fn': dict(type='default_collate')},
        (8, 17, 32),
    ),
    'mixed precision': (
        toy.classification,
        {
            **UPPER,
            'optim_wrapper.type': 'mmengine.CPUAutocast',
        },
        (8, 17, 32),
    ),
    'segmentation': (toy.segmentation, UPPER, (4, 17, 32)),
    'segmentation, worker': (
        toy.segmentation,
        {**UPPER, 'train_dataloader.num_workers': 1},
        (4, 17, 32),
    ),
    'two thirds of the images': (
        toy.classification,
        {**UPPER, 'train_dataloader.num_batch_per_epoch': 2},
        (8, 17, 32),
    ),
    'repeated and concatenated images': (
        toy.classification,
        {
            **UPPER,
            'train_dataloader.dataset': dict(
                type='RepeatDataset',
                times=2,
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(GLYPHS, num_images=16),
                        dict(GLYPHS, num_images=8, seed=2),
                    ],
                ),
            ),
        },
        (8, 17, 32),
    ),
    'segmentation, linear': (toy.segmentation, NONE, (4, 17, 32)),
    'padded segmentation': (
        toy.segmentation,
        {
            **UPPER,
            'train_dataloader.dataset.size': (24, 32),
        },
        (4, 17, 32),
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_a_cached_run_has_the_bits_of_a_plain_one(tmp_path, name):
    make, changes, shape = CASES[name]
    plain = train(make(tmp_path / 'a', changes))
    from_tokens = train(make(tmp_path / 'b', changes), cached())
    assert plain[1].batches[0] is None
    assert {tuple(x.shape) for x in from_tokens[1].batches} == {shape}
    assert_same_run(plain, from_tokens)


def train_on_one_of_two(rank, port, folder):
    """Train on two processes with images, memory and files."""
    torch.set_num_threads(1)
    address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    ranks = dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    os.environ.update(**address, **ranks)
    dist.init_process_group('gloo', timeout=timedelta(seconds=300))
    hooks = [None, cached(), cached(cache_dir=str(folder / 'cache'))]
    runs = []
    for i, hook in enumerate(hooks):
        cfg = toy.classification(folder / str(i), UPPER)
        cfg.update(
            launcher='pytorch',
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
            ),
        )
        cfg['train_dataloader']['batch_size'] = 4
        runs.append(train(cfg, hook))
    assert runs[1][1].batches[0].shape == (4, 17, 32)
    assert_same_run(runs[0], runs[1])
    assert_same_run(runs[0], runs[2])
    assert len([*(folder / 'cache').iterdir()]) == 6  # 24 images
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.forks
def test_two_processes_train_from_tokens(tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    importlib.import_module('mmpretrain.models')
    importlib.import_module('mmpretrain.datasets')
    mp.start_processes(
        train_on_one_of_two, (port, tmp_path), 2, start_method='fork'
    )


def test_a_plain_runner_trains_from_tokens_too(tmp_path):
    plain = train(toy.classification(tmp_path / 'a', UPPER), None, Runner)
    cfg = toy.classification(tmp_path / 'b', UPPER)
    assert_same_run(plain, train(cfg, cached(), Runner))
    cfg = toy.segmentation(tmp_path / 'c', UPPER)
    plain = train(cfg, None, Runner)
    cfg = toy.segmentation(tmp_path / 'd', UPPER)
    assert_same_run(plain, train(cfg, cached(), Runner))


def test_a_stopped_run_resumes_to_the_same_bits(tmp_path):
    for make, unit in (
        (toy.classification, 'epoch'),
        (toy.segmentation, 'iter'),
    ):
        folder = tmp_path / unit
        whole, _ = train(make(folder / 'a', UPPER), cached())
        one = {**UPPER, f'train_cfg.max_{unit}s': 1}
        train(make(folder / 'b', one), cached())
        cfg = make(folder / 'b', UPPER)
        resumed, recorder = train(dict(cfg, resume=True), cached())
        assert recorder.batches[0] is not None
        for name, value in trained(whole).items():
            assert torch.equal(value, trained(resumed)[name]), name


def test_runs_share_files_until_something_changes(tmp_path):
    """Each chunk of 8 images is a file."""
    folder = tmp_path / 'cache'

    def files(name, runner_type=DAVPTRunner, hook=(), **changes):
        cfg = toy.classification(tmp_path / name, {**UPPER, **changes})
        torch.manual_seed(0)
        run = train(cfg, cached(cache_dir=str(folder), **dict(hook)))
        return run, {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}

    plain = train(toy.classification(tmp_path / 'plain', UPPER))
    first, written = files('a')
    assert_same_run(plain, first)
    assert len(written) == 3 and all(n.endswith('.pth') for n in written)
    again, unchanged = files('b')
    assert_same_run(plain, again)
    assert unchanged == written
    labels = {'optim_wrapper.optimizer.lr': 1, 'model.guidance': None}
    assert files('c', **labels)[1] == written
    changes = dict(
        weights={'randomness.seed': 1},
        images={'train_dataloader.dataset.seed': 5},
        normalization={'model.data_preprocessor.std': [65.0] * 3},
        batches={'train_dataloader.batch_size': 12},
    )
    count = len(written)
    for name, change in changes.items():
        count += 2 if name == 'batches' else 3
        assert len(files(name, **change)[1]) == count, name
    assert len(files('dtype', hook=dict(dtype='bfloat16'))[1]) == count + 3


def test_rows_of_an_experiment_share_files(tmp_path):
    """Two rows that differ in their learning rate; the hook is a column."""
    cfg = Config(toy.classification(tmp_path / 'unused', UPPER))
    cfg.dump(str(tmp_path / 'base.py'))
    mapping, cache = cfg.custom_hooks[0], str(tmp_path / 'cache')
    hooks = [dict(mapping), cached(cache_dir=cache)]
    lines = [
        'row,base,optim_wrapper.optimizer.lr,custom_hooks',
        f'slow,base.py,0.001,"{hooks}"',
        f'fast,base.py,0.01,"{hooks}"',
    ]
    (tmp_path / 'table.csv').write_text('\n'.join(lines))
    written, rows = [], read_table(tmp_path / 'table.csv')
    for name, row in rows.items():
        cfg = build_config(row).to_dict()
        cfg['work_dir'] = str(tmp_path / name)
        cfg['experiment_name'] = str(tmp_path / name).replace('/', '_')
        _, recorder = train(cfg)
        assert recorder.batches[0] is not None
        times = {p.name: p.stat().st_mtime_ns for p in Path(cache).iterdir()}
        written.append(times)
    assert len(written[0]) == 3 and written[0] == written[1]


def test_an_image_that_changes_is_noticed(tmp_path, monkeypatch):
    folder = str(tmp_path / 'cache')
    cfg = toy.classification(tmp_path / 'a', UPPER)
    train(cfg, cached(cache_dir=folder))
    before = {*os.listdir(folder)}
    original = GlyphDataset.get_data_info

    def with_a_dot(self, index):
        info = original(self, index)
        if index == 9:
            info['img'] = info['img'].copy()
            info['img'][0, 0] ^= 1
        return info

    monkeypatch.setattr(GlyphDataset, 'get_data_info', with_a_dot)
    plain = train(toy.classification(tmp_path / 'b', UPPER))
    cfg = toy.classification(tmp_path / 'c', UPPER)
    assert_same_run(plain, train(cfg, cached(cache_dir=folder)))
    assert len({*os.listdir(folder)} - before) == 1  # images 8 to 15


def test_bfloat16_takes_half_and_stays_close(tmp_path):
    runs = []
    for dtype in ('float32', 'bfloat16'):
        folder = tmp_path / dtype
        cfg = toy.classification(folder / 'run', UPPER)
        cfg['model']['guidance'] = None
        hook = cached(dtype=dtype, cache_dir=str(folder))
        run = train(cfg, hook)
        sizes = [p.stat().st_size for p in folder.glob('*.pth')]
        runs.append((run[1], sum(sizes)))
    (exact, size), (rounded, half) = runs
    assert half < 0.6 * size
    assert rounded.batches[0].dtype is torch.bfloat16
    losses = [[x['loss'] for x in run.losses] for run in (exact, rounded)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


FLIPPED = {
    'train_dataloader.dataset.pipeline': [
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
}


class Meddler(Hook):
    """Change the model after the first epoch."""

    priority = 'HIGH'

    def __init__(self, change):
        self.change = change

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            self.change(runner.model.backbone.layers[0])


@pytest.mark.parametrize(
    'change',
    [
        lambda layer: layer.ln1.weight.data.mul_(1.01),
        lambda layer: layer.requires_grad_(),
    ],
)
def test_a_frozen_layer_that_changes_is_noticed(tmp_path, change):
    cfg = toy.classification(tmp_path, UPPER)
    with pytest.raises(UsageError, match='hooks that change or unfreeze'):
        train(cfg, cached(), extra=Meddler(change))


def test_a_damaged_file_is_refused(tmp_path):
    folder = tmp_path / 'cache'
    hook = cached(cache_dir=str(folder))
    train(toy.classification(tmp_path / 'a', UPPER), hook)
    path = next(folder.iterdir())
    intact = path.read_bytes()
    flipped = bytearray(intact)
    flipped[len(intact) // 2] ^= 1
    for damaged in (bytes(flipped), intact[:-500]):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=path.name):
            train(toy.classification(tmp_path / 'b', UPPER), dict(hook))


class ReadsImages(Hook):
    """Read the training set in the middle of a training."""

    priority = 'LOWEST'

    def __init__(self):
        self.shapes = set()

    def after_train_iter(self, runner, **kwargs):
        for batch in first_pass_loader(runner.train_dataloader):
            data = runner.model.data_preprocessor(batch, training=True)
            self.shapes.add(tuple(data['inputs'].shape))


def test_the_model_takes_images_during_and_after_a_training(tmp_path):
    reader = ReadsImages()
    cfg = toy.classification(tmp_path / 'a', UPPER)
    runner, recorder = train(cfg, cached(), extra=reader)
    assert reader.shapes == {(8, 3, 32, 32)}
    assert 'forward' not in vars(runner.model.data_preprocessor)
    copy.deepcopy(runner.model)
    pickle.dumps(runner.model.data_preprocessor)
    again = []
    for name, hook in (('b', None), ('c', cached())):
        cfg = toy.classification(tmp_path / name, UPPER)
        cfg['model'] = copy.deepcopy(runner.model)
        again.append(train(cfg, hook))
    assert again[1][1].batches[0] is not None
    assert_same_run(*again)


def test_views_are_a_function_of_seed_image_and_view(tmp_path):
    """Each epoch is one view, in any order, batch size and process."""

    def tokens_of(name, make=toy.classification, **changes):
        changes = {**UPPER, **FLIPPED, **changes}
        if make is toy.segmentation:
            key = 'train_dataloader.dataset.pipeline'
            changes[key] = [changes[key][0], dict(type='PackSegInputs')]
        runner, recorder = train(
            make(tmp_path / name, changes), cached(views=2)
        )
        rows = runner.train_dataloader.dataset.rows
        return rows, torch.cat(recorder.batches)

    rows, seen = tokens_of('a', **{'train_cfg.max_epochs': 3})
    kept = [
        torch.stack([rows[r][0] for r in range(i, i + 24)]) for i in (0, 24)
    ]
    differ = [not torch.equal(a, b) for a, b in zip(*kept, strict=True)]
    assert 4 < sum(differ) < 20
    for epoch, view in enumerate((0, 1, 0)):
        found = {row.sum().item() for row in seen[24 * epoch :][:24]}
        assert found == {row.sum().item() for row in kept[view]}, epoch
    changes = {
        'train_dataloader.batch_size': 5,
        'train_dataloader.num_workers': 1,
        'train_dataloader.sampler.shuffle': False,
    }
    other, _ = tokens_of('b', **changes)
    assert {*other} == {*rows} == {*range(48)}
    for row, (tokens, _) in rows.items():
        torch.testing.assert_close(other[row][0], tokens)
    reseeded, _ = tokens_of('c', **{'randomness.seed': 1, 'resume': False})
    assert any(
        not torch.allclose(reseeded[r][0] - reseeded[r + 24][0], a - b)
        for r, (a, b) in enumerate(zip(*kept, strict=True))
    )
    # 8 images in batches of 4: an endless sampler, so epochs are counted.
    rows, seen = tokens_of('d', toy.segmentation, **{'train_cfg.max_iters': 4})
    for epoch in (0, 1):
        kept = {rows[8 * epoch + i][0].sum().item() for i in range(8)}
        assert {x.sum().item() for x in seen[8 * epoch :][:8]} == kept


class OwnNumbers(BaseTransform):
    """Noise of a generator that no seed reaches."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def transform(self, results):
        noise = self.random.integers(0, 50, results['img'].shape)
        results['img'] = (results['img'] // 2 + noise).astype(np.uint8)
        return results


TRANSFORMS.register_module(module=OwnNumbers, force=True)
LOADER = 'train_dataloader.dataset.'


def pipeline(*transforms):
    steps = [*transforms, 'PackInputs']
    steps = [dict(type=s) if isinstance(s, str) else s for s in steps]
    return {f'{LOADER}pipeline': steps}


@pytest.mark.parametrize(
    'changes, hook, message',
    [
        (FLIPPED, {}, 'the transform RandomFlip is random; remove it'),
        (
            {**FLIPPED, 'train_dataloader.num_workers': 1},
            {},
            'the transform RandomFlip is random; remove it',
        ),
        (pipeline('mmengine.OwnNumbers'), {}, 'two passes over the first'),
        (
            pipeline('mmengine.OwnNumbers'),
            dict(views=2),
            'two passes over the first',
        ),
        (
            {
                'model.train_cfg': dict(
                    augments=[dict(type='Mixup', alpha=1.0)]
                )
            },
            {},
            'needs images that are not mixed',
        ),
    ],
)
def test_images_that_differ_are_refused(tmp_path, changes, hook, message):
    changes = {**UPPER, 'model.guidance': None, **changes}
    cfg = toy.classification(tmp_path, changes)
    with pytest.raises(UsageError, match=message):
        train(cfg, cached(**hook))


def test_dropout_in_a_frozen_layer_is_refused(tmp_path, monkeypatch):
    original = DAVPTRunner.call_hook

    def call_hook(self, name, **kwargs):
        if name == 'before_train':
            layer = self.model.backbone.layers[0]
            layer.register_forward_hook(
                lambda module, args, y: torch.dropout(y, 0.5, True)
            )
        original(self, name, **kwargs)

    monkeypatch.setattr(DAVPTRunner, 'call_hook', call_hook)
    with pytest.raises(UsageError, match='dropout in frozen layers'):
        cfg = {**UPPER, 'model.guidance': None}
        train(toy.classification(tmp_path, cfg), cached())


def test_images_of_several_sizes_are_refused(tmp_path, monkeypatch):
    original = GlyphSceneDataset.get_data_info

    def cropped(self, index):
        info = original(self, index)
        if index == 6:
            info['img'] = info['img'][:24].copy()
            info['gt_seg_map'] = info['gt_seg_map'][:24].copy()
        return info

    monkeypatch.setattr(GlyphSceneDataset, 'get_data_info', cropped)
    cfg = toy.segmentation(tmp_path, UPPER)
    with pytest.raises(UsageError, match=r'one size .*\(24, 32\), \(32, 32\)'):
        train(cfg, cached())


def test_other_models_and_loops_are_refused(tmp_path):
    cfg = toy.classification(tmp_path / 'a', {**UPPER, **FLIPPED})
    with pytest.raises(UsageError, match='needs the loops of mmdavpt.DAVPTR'):
        train(cfg, cached(views=2), Runner)
    cfg = toy.classification(tmp_path / 'b', {'model.guidance': None})
    cfg['model']['backbone'] = dict(
        type='VisionTransformer', arch=toy.ARCH, img_size=32, patch_size=8
    )
    with pytest.raises(UsageError, match='needs a backbone of type DAVPT'):
        train(cfg, cached())


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(views=0), '`views` should be .*at least 1'),
        (dict(dtype='float16'), "but got 'float16'"),
    ],
)
def test_invalid_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PrefixCacheHook(**kwargs)


def test_with_a_tuned_first_layer_nothing_happens(tmp_path):
    plain = train(toy.classification(tmp_path / 'a'))
    runner, recorder = train(toy.classification(tmp_path / 'b'), cached())
    assert_same_run(plain, (runner, recorder))
    assert recorder.batches == [None] * 6
    log = next((tmp_path / 'b').rglob('*.log')).read_text()
    assert 'the first layer is tuned, so there is nothing to gain' in log
