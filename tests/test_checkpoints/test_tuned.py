"""Tuned-only checkpoints load and resume like full ones."""

import os

import pytest
import torch
from mmengine.hooks import Hook

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.checkpoints.fit import check_fit
from mmdavpt.checkpoints.tuned import (
    FINGERPRINT,
    fingerprint,
    same_values,
    strip_frozen,
)
from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from . import runs


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return runs.pretrained(tmp_path_factory.mktemp('weights') / 'vit.pth')


@pytest.fixture(scope='module')
def trained(tmp_path_factory, weights):
    """Return the folder of a tuned-only run, and its last state."""
    folder = tmp_path_factory.mktemp('run')
    cfg = runs.config(
        folder,
        weights,
        {'train_cfg.val_interval': 1},
        tuned_only=True,
        save_best='auto',
    )
    runner = runs.runner(cfg)
    runner.train()
    return folder, runs.state(runner)


def test_tuned_only_content(trained, weights):
    folder, last = trained
    content = read_run_checkpoint(str(folder / 'epoch_2.pth'))
    frozen = torch.load(weights).keys()
    tuned = content['state_dict']
    assert not [k for k in tuned if k.removeprefix('backbone.') in frozen]
    assert {f'backbone.{k}' for k in frozen} | set(tuned) == (
        set(last) | {FINGERPRINT}
    )
    assert content['meta']['versions']['mmdavpt']
    assert content['meta']['dataset_meta']['classes']
    (best,) = folder.glob('best_*.pth')
    best = read_run_checkpoint(str(best))
    assert 'guidance.mapping' in best['state_dict']
    assert 'guidance.class_sums' in tuned
    assert 'guidance.class_sums' not in best['state_dict']


def test_resume_from_tuned_only_is_exact(trained, weights, tmp_path):
    folder, last = trained
    cfg = runs.config(tmp_path, weights, tuned_only=True)
    runner = runs.runner(
        cfg, resume=True, load_from=str(folder / 'epoch_1.pth')
    )
    runner.train()
    runs.assert_equal(runs.state(runner), last)


@pytest.mark.parametrize('file', ['epoch_2.pth', 'best'])
def test_mmengine_and_strict_loading(trained, weights, tmp_path, file):
    from mmengine.runner import load_checkpoint

    folder, last = trained
    path = next(folder.glob(f'{file}*'))
    cfg = runs.config(tmp_path, weights)
    runner = runs.runner(cfg)
    load_checkpoint(runner.model, str(path))  # the inference APIs' way
    model = runs.state(runner)
    if file == 'epoch_2.pth':
        runs.assert_equal(model, last)
    fresh = MODELS.build(cfg['model'])
    content = read_run_checkpoint(str(path))['state_dict']
    fresh.load_state_dict(content)  # strictly
    assert FINGERPRINT in content
    for name, value in fresh.state_dict().items():
        if 'guidance' not in name:
            assert torch.equal(value, model[name]), name


def test_other_frozen_weights_are_rejected(trained, tmp_path):
    folder, _ = trained
    other = runs.pretrained(tmp_path / 'other.pth', seed=1)
    cfg = runs.config(tmp_path, other)
    runner = runs.runner(
        cfg, resume=True, load_from=str(folder / 'epoch_1.pth')
    )
    with pytest.raises(
        UsageError, match='frozen weights with fingerprint .*other.pth has'
    ):
        runner.train()


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (
            {'model.backbone.bias': ('q', 'k', 'v')},
            'lacks backbone.bias_delta.q',
        ),
        ({'model.backbone.init_cfg': None}, 'but the config names none'),
        (
            {'model.backbone.init_cfg.checkpoint': 'gone.pth'},
            'needs the frozen weights: .*gone.pth',
        ),
    ],
)
def test_other_configs_are_rejected(
    trained, weights, tmp_path, changes, sentence
):
    cfg = runs.config(tmp_path, weights, changes)
    model = MODELS.build(cfg['model'])
    state = read_run_checkpoint(str(trained[0] / 'epoch_2.pth'))['state_dict']
    with pytest.raises(UsageError, match=sentence):
        model.load_state_dict(state)


HALF = {'model.backbone.frozen_dtype': 'bfloat16'}


def test_bfloat16_resumes_exactly(weights, tmp_path):
    def last(name, **kwargs):
        tuned = name == 'tuned'
        cfg = runs.config(tmp_path / name, weights, HALF, tuned_only=tuned)
        runner = runs.runner(cfg, **kwargs)
        runner.train()
        return runs.state(runner)

    state = last('full')
    runs.assert_equal(last('tuned'), state)
    for name in ('full', 'tuned'):
        file = str(tmp_path / name / 'epoch_1.pth')
        resumed = last(f'resumed_{name}', resume=True, load_from=file)
        runs.assert_equal(resumed, state)
    content = read_run_checkpoint(str(tmp_path / 'full' / 'epoch_2.pth'))
    name = 'layers.0.attn.qkv.weight'
    stored = content['state_dict'][f'backbone.{name}']
    assert stored.dtype == torch.bfloat16
    assert torch.equal(stored, torch.load(weights)[name].bfloat16())


def test_other_types_of_frozen_weights_are_rejected(weights, tmp_path):
    models = []
    for changes in ({}, HALF):
        cfg = runs.config(tmp_path, weights, changes)
        models.append(MODELS.build(cfg['model']))
        models[-1].init_weights()
    for model, other, type_, found in (
        (*models, None, 'missing'),
        (*models[::-1], 'bfloat16', 'unexpected'),
    ):
        tuned = dict(state_dict=model.state_dict())
        assert strip_frozen(tuned, model)
        model.load_state_dict(dict(tuned['state_dict']))
        expected = f'another type .*frozen_dtype={type_!r}, as in its training'
        with pytest.raises(UsageError, match=expected):
            other.load_state_dict(dict(tuned['state_dict']))
        full = dict(model.state_dict())
        check_fit(model, full, 'the file')
        with pytest.raises(UsageError, match=f'{found} backbone.frozen_dtype'):
            check_fit(other, full, 'the file')
        check_fit(other, full, 'the file', ['backbone.frozen_dtype'])


def test_frozen_weights_must_be_restorable(weights, tmp_path):
    cfg = runs.config(
        tmp_path, weights, {'model.backbone.init_cfg': None}, tuned_only=True
    )
    with pytest.raises(UsageError, match='the config names no file'):
        runs.runner(cfg).train()
    full = runs.runner(
        runs.config(tmp_path / 'full', weights, {'train_cfg.max_epochs': 1})
    )
    full.train()
    path = str(tmp_path / 'full' / 'epoch_1.pth')
    content = read_run_checkpoint(path)
    content['state_dict']['backbone.layers.0.ln1.weight'] += 1
    torch.save(content, path)
    cfg = runs.config(tmp_path / 'tuned', weights, tuned_only=True)
    with pytest.raises(UsageError, match='`load_from` may have replaced'):
        runs.runner(cfg, load_from=path).train()


def test_changed_frozen_weights_are_saved(weights, tmp_path):
    cfg = runs.config(
        tmp_path, weights, {'train_cfg.max_epochs': 1}, tuned_only=True
    )
    runner = runs.runner(cfg)
    model = runner.model

    class Change(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            model.backbone.layers[0].ln1.weight.data += 1

    runner.register_hook(Change())
    runner.train()
    content = read_run_checkpoint(str(tmp_path / 'epoch_1.pth'))
    assert FINGERPRINT not in content['state_dict']
    runs.assert_equal(content['state_dict'], runs.state(runner))


def test_fingerprint_tolerates_resizing_of_position_embeddings():
    state = dict(w=torch.randn(3, 4), pos_embed=torch.randn(1, 17, 32))
    mark = fingerprint(state)
    near = dict(state, pos_embed=state['pos_embed'] * (1 + 1e-6))
    assert same_values(mark, fingerprint(near))
    for other in (
        dict(state, pos_embed=state['pos_embed'] * 1.01),
        dict(state, w=state['w'] * (1 + 1e-6)),
        dict(state, w=state['w'].view(4, 3)),
        dict(state, pos_embed=state['pos_embed'][:, :16]),
    ):
        assert not same_values(mark, fingerprint(other))


def test_tuned_only_files_are_small(trained):
    folder, last = trained
    frozen = sum(
        v.nbytes for k, v in last.items() if k.startswith('backbone.layers')
    )
    (best,) = folder.glob('best_*.pth')
    tuned = sum(
        v.nbytes for v in read_run_checkpoint(str(best))['state_dict'].values()
    )
    assert tuned < frozen
    # Names and places in the archive, and what is said of the run.
    assert os.path.getsize(best) < tuned + 40_000
