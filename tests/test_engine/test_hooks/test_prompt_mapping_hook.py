"""PromptMappingHook in both loops: first mapping, refresh, labels, errors."""

import logging

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mmdavpt.engine.hooks import PromptMappingHook
from mmdavpt.mapping import assign_prompts
from mmdavpt.mapping.loaders import batch_size_of
from mmdavpt.models import PromptGuidance
from tests import toy


class Recorder(Hook):
    """Record the state of the guidance at chosen moments."""

    priority = 'LOW'

    def __init__(self):
        self.first, self.after, self.labels = None, [], []

    def before_train(self, runner):
        self.first = state_of(runner.model)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.labels.append(
            [
                sample.get('guidance_label')
                for sample in data_batch['data_samples']
            ]
        )

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        self.after.append(state_of(runner.model))
        self.outputs = outputs


def state_of(model):
    return {
        name: buffer.clone() for name, buffer in model.guidance.named_buffers()
    }


def run(runner):
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    return recorder


def test_first_mapping_is_of_the_unprompted_backbone(runner_from, tmp_path):
    runner = runner_from(toy.classification(tmp_path))
    recorder = run(runner)
    model = runner.model
    sums = torch.zeros(6, 32)
    for index in range(24):
        data = runner.train_dataloader.dataset[index]
        image = model.data_preprocessor(dict(inputs=[data['inputs']]))[
            'inputs'
        ]
        model.backbone.eval()
        sums[index % 6] += model.backbone.unprompted_tokens(image).cls[0]
    torch.testing.assert_close(
        recorder.first['representations'], sums / 4, rtol=1e-4, atol=1e-4
    )
    expected = assign_prompts(
        recorder.first['representations'].numpy(), np.ones(6, bool), 3
    )
    assert recorder.first['mapping'].tolist() == expected.mapping.tolist()
    assert set(expected.mapping) == {0, 1, 2}


def test_epoch_loop_reclusters_what_the_epoch_observed(runner_from, tmp_path):
    runner = runner_from(
        toy.classification(tmp_path, {'train_cfg.max_epochs': 1})
    )
    recorder = run(runner)
    last = recorder.after[-1]  # after 3 iterations of 8 images
    assert last['class_counts'].tolist() == [4] * 6
    final = state_of(runner.model)
    torch.testing.assert_close(
        final['representations'], last['class_sums'] / 4
    )
    assert final['class_counts'].sum() == 0
    assert final['class_sums'].abs().sum() == 0
    expected = assign_prompts(
        final['representations'].numpy(),
        np.ones(6, bool),
        3,
        centroids=last['centroids'].numpy(),
    )
    assert final['mapping'].tolist() == expected.mapping.tolist()


def test_observed_features_are_those_of_the_forward_pass(
    runner_from, tmp_path
):
    runner = runner_from(
        toy.classification(
            tmp_path,
            {
                'train_cfg.max_epochs': 1,
                'train_dataloader.batch_size': 24,
                'optim_wrapper.optimizer.lr': 0.0,
            },
        )
    )
    recorder = run(runner)
    model, sums = runner.model, torch.zeros(6, 32)
    for index in range(24):
        data = runner.train_dataloader.dataset[index]
        image = model.data_preprocessor(dict(inputs=[data['inputs']]))[
            'inputs'
        ]
        sums[index % 6] += model.backbone(image)[0][0].detach()
    torch.testing.assert_close(
        recorder.after[-1]['class_sums'], sums, rtol=1e-4, atol=1e-4
    )


def test_iteration_loop_reclusters_after_each_pass(runner_from, tmp_path):
    runner = runner_from(toy.segmentation(tmp_path))
    recorder = run(runner)
    totals = [int(state['class_counts'].sum()) for state in recorder.after]
    # 8 images in batches of 4: after iterations 2 and 4 all is new.
    assert totals == [4, 0, 4, 0]
    assert recorder.after[0]['seen'].sum() <= recorder.after[1]['seen'].sum()
    mapping = recorder.first['mapping']
    assert mapping[0] == -1  # the background has no prompt
    assert (mapping[1:] >= 0).all()
    losses = [key for key in recorder.outputs if 'guidance' in key]
    assert losses == ['loss_guidance_token', 'loss_guidance_cls']


@pytest.mark.parametrize(
    'options, totals',
    [
        (dict(interval=2), [4, 8, 12, 0]),
        (dict(iters_per_epoch=1), [0, 0, 0, 0]),
        (dict(iters_per_epoch=3), [4, 8, 0, 4]),
    ],
)
def test_interval_of_the_iteration_loop(
    runner_from, tmp_path, options, totals
):
    runner = runner_from(
        toy.segmentation(
            tmp_path,
            {
                'custom_hooks': [
                    dict(type='mmdavpt.PromptMappingHook', **options)
                ]
            },
        )
    )
    recorder = run(runner)
    assert [int(s['class_counts'].sum()) for s in recorder.after] == totals


def test_interval_of_the_epoch_loop(runner_from, tmp_path):
    runner = runner_from(
        toy.classification(
            tmp_path,
            {
                'custom_hooks': [
                    dict(type='mmdavpt.PromptMappingHook', interval=2)
                ]
            },
        )
    )
    recorder = run(runner)
    assert [int(s['class_counts'].sum()) for s in recorder.after] == [
        8,
        16,
        24,
        32,
        40,
        48,
    ]
    assert runner.model.guidance.class_counts.sum() == 0


def test_guidance_labels_are_present_in_the_annotation(runner_from, tmp_path):
    runner = runner_from(toy.segmentation(tmp_path))
    seen = []

    class Check(Hook):
        priority = 'LOW'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            for sample in data_batch['data_samples']:
                present = set(sample.gt_sem_seg.data.unique().tolist())
                assert sample.guidance_label in present - {0, 255}
                seen.append(sample.guidance_label)

    runner.register_hook(Check())
    runner.train()
    assert len(seen) == 16 and len(set(seen)) > 1


def test_draws_depend_on_seed_and_iteration_alone(runner_from, tmp_path):

    def labels(name, seed):
        recorder = run(
            runner_from(
                toy.segmentation(
                    tmp_path / name,
                    {
                        'custom_hooks': [
                            dict(type='mmdavpt.PromptMappingHook', seed=seed)
                        ]
                    },
                )
            )
        )
        return recorder.labels

    first = labels('a', 0)
    np.random.seed(99)
    assert labels('b', 0) == first
    assert labels('c', 1) != first


def test_the_first_pass_does_not_change_random_states(runner_from, tmp_path):
    """A guided run draws the same augmentation as an unguided one."""

    def draws(name, guidance):
        changes = {
            'train_dataloader.dataset.pipeline': [
                dict(type='RandomCrop', crop_size=28),
                dict(type='PackInputs'),
            ]
        }
        if not guidance:
            changes['model.guidance'] = None
        runner = runner_from(toy.classification(tmp_path / name, changes))
        seen = []

        class Look(Hook):
            def before_train_iter(self, runner, batch_idx, data_batch=None):
                seen.append(torch.stack(data_batch['inputs']).float().sum())

        runner.register_hook(Look())
        runner.train()
        return torch.stack(seen)

    assert torch.equal(draws('guided', True), draws('unguided', False))


def test_does_nothing_without_guidance(runner_from, tmp_path):
    runner = runner_from(toy.segmentation(tmp_path, {'model.guidance': None}))
    runner.train()
    assert not [k for k in runner.model.state_dict() if 'guidance' in k]


@pytest.mark.parametrize('build', [toy.classification, toy.segmentation])
def test_stop_and_resume_keeps_all_state(runner_from, tmp_path, build):
    """A run stopped in the middle of an epoch resumes bit for bit."""
    by_iter = (
        {
            'custom_hooks': [
                dict(type='mmdavpt.PromptMappingHook', iters_per_epoch=3)
            ]
        }
        if build is toy.segmentation
        else {}
    )
    whole = runner_from(build(tmp_path / 'whole', by_iter))
    whole.train()
    unit = (
        'train_cfg.max_iters'
        if build is toy.segmentation
        else 'train_cfg.max_epochs'
    )
    stop = 2 if build is toy.segmentation else 1
    half = runner_from(build(tmp_path / 'half', {**by_iter, unit: stop}))
    half.train()
    resumed = runner_from(
        build(tmp_path / 'half', by_iter),
        resume=True,
        experiment_name=f'resumed_{unit}',
    )
    resumed.train()
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert 'guidance.class_sums' in expected


def test_load_from_makes_a_new_mapping(runner_from, tmp_path):
    """Class statistics of a loaded checkpoint have no effect."""
    runner = runner_from(toy.classification(tmp_path / 'a'))
    runner.train()
    runner.model.guidance.class_sums += 100  # of an unfinished epoch
    runner.model.guidance.class_counts += 1
    path = tmp_path / 'tuned.pth'
    torch.save(dict(state_dict=runner.model.state_dict()), path)
    loaded = runner_from(
        toy.classification(tmp_path / 'b'), load_from=str(path)
    )
    recorder = run(loaded)
    fresh = run(runner_from(toy.classification(tmp_path / 'c')))
    for name in ('representations', 'mapping', 'centroids'):
        torch.testing.assert_close(recorder.first[name], fresh.first[name])


def test_the_first_pass_respects_num_batch_per_epoch(
    runner_from, tmp_path, monkeypatch
):
    update = PromptGuidance.update_representations
    counts = []

    def record(guidance):
        counts.append(int(guidance.class_counts.sum()))
        update(guidance)

    monkeypatch.setattr(PromptGuidance, 'update_representations', record)
    cfg = toy.classification(tmp_path, {'train_cfg.max_epochs': 1})
    cfg['train_dataloader']['num_batch_per_epoch'] = 2
    runner = runner_from(cfg)
    runner.train()
    assert runner.iter == 2 and counts[0] == 16


class Lines(logging.Handler):
    """Keeps the messages of a runner's logger."""

    def __init__(self, runner):
        super().__init__()
        self.messages = []
        runner.logger.addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())


def test_one_log_line_per_reclustering(runner_from, tmp_path):
    runner = runner_from(toy.classification(tmp_path))
    log = Lines(runner)
    runner.train()
    lines = [line for line in log.messages if line.startswith('Mapping: ')]
    assert len(lines) == 3  # before training and after two epochs
    assert 'first mapping' in lines[0]
    assert all('cluster sizes' in line for line in lines)
    assert 'moved' in lines[1]


def test_one_class_turns_guidance_off_with_a_warning(runner_from, tmp_path):
    cfg = toy.segmentation(
        tmp_path,
        {
            'model.decode_head.num_classes': 2,
            'model.auxiliary_head.0.num_classes': 2,
            'train_dataloader.dataset.type': 'OneLetter',
        },
    )

    from mmseg.registry import DATASETS as SEG_DATASETS

    from mmdavpt.datasets import GlyphSceneDataset

    @SEG_DATASETS.register_module(force=True)
    class OneLetter(GlyphSceneDataset):
        METAINFO = dict(
            classes=('background', 'letter'), palette=[[0, 0, 0], [1, 1, 1]]
        )

        def get_data_info(self, idx):
            info = super().get_data_info(idx)
            seg = info['gt_seg_map']
            seg[(seg > 1) & (seg < 255)] = 1
            return info

    runner = runner_from(cfg)
    log = Lines(runner)
    recorder = run(runner)
    assert any('the guidance is off' in line for line in log.messages)
    assert (runner.model.guidance.mapping == -1).all()
    assert recorder.outputs['loss_guidance_token'].item() == 0
    assert recorder.outputs['loss_guidance_cls'].item() == 0


@pytest.mark.parametrize(
    'build, changes, message',
    [
        (
            toy.classification,
            {'model.head.num_classes': 7},
            'training set has 6 classes, but the model has num_classes=7',
        ),
        (
            toy.classification,
            {'custom_hooks': []},
            'no class-to-prompt mapping: add custom_hooks.* or call '
            r'model\.fit_mapping',
        ),
        (
            toy.segmentation,
            {'custom_hooks': []},
            'no class-to-prompt mapping: add custom_hooks',
        ),
    ],
)
def test_mistakes_fail_at_the_start(
    runner_from, tmp_path, build, changes, message
):
    with pytest.raises((ValueError, RuntimeError), match=message):
        runner_from(build(tmp_path, changes)).train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('name', ['interval', 'iters_per_epoch'])
def test_invalid_numbers(runner_from, tmp_path, name):
    hook = dict(type='mmdavpt.PromptMappingHook', **{name: 0})
    with pytest.raises(ValueError, match=f'`{name}` should be .*at least 1'):
        runner_from(toy.classification(tmp_path, {'custom_hooks': [hook]}))


def test_negative_seed():
    with pytest.raises(ValueError, match='`seed` should be .*at least 0.*-1'):
        PromptMappingHook(seed=-1)


def test_resume_within_an_epoch_counts_no_sample_twice(runner_from, tmp_path):
    """mmengine's epoch-based loop restarts an interrupted epoch."""
    by_iter = {
        'default_hooks.checkpoint': dict(
            type='CheckpointHook', by_epoch=False, interval=2
        ),
        'train_cfg.max_epochs': 1,
    }
    runner_from(toy.classification(tmp_path, by_iter)).train()
    resumed = runner_from(
        toy.classification(tmp_path, by_iter),
        resume=True,
        load_from=str(tmp_path / 'iter_2.pth'),
        experiment_name='resumed_within',
    )
    recorder = run(resumed)
    assert recorder.after[-1]['class_counts'].sum() == 24


def test_images_with_nan_are_named_in_the_first_pass(runner_from, tmp_path):
    cfg = toy.classification(
        tmp_path, {'custom_hooks': [dict(type='mmdavpt.PromptMappingHook')]}
    )
    runner = runner_from(cfg)
    dataset = runner.train_dataloader.dataset
    draw = dataset.get_data_info

    def broken(index):
        info = draw(index)
        if index == 5:
            info['img'] = np.full((32, 32, 3), np.nan, np.float32)
            info['img_path'] = 'birds/5.png'
        return info

    dataset.get_data_info = broken
    with pytest.raises(ValueError, match=r"features for \['birds/5.png'\]"):
        runner.train()


def ignore_all(runner):
    """Ignore every pixel of the training set."""
    dataset = runner.train_dataloader.dataset
    draw = dataset.get_data_info

    def ignored(index):
        info = draw(index)
        info['gt_seg_map'][:] = 255
        return info

    dataset.get_data_info = ignored


def test_a_training_set_without_any_class_is_rejected(runner_from, tmp_path):
    runner = runner_from(toy.segmentation(tmp_path))
    ignore_all(runner)
    with pytest.raises(ValueError, match='annotations are not all ignored'):
        runner.train()


def test_crops_without_a_class_take_no_part(runner_from, tmp_path):
    """From the second iteration on, no sample has a class to draw."""
    runner = runner_from(toy.segmentation(tmp_path))

    class Ignore(Hook):
        def after_train_iter(
            self, runner, batch_idx, data_batch=None, outputs=None
        ):
            ignore_all(runner)

    runner.register_hook(Ignore())
    recorder = run(runner)
    assert recorder.labels[1:] == [[-1] * 4] * 3
    assert recorder.outputs['loss_guidance_token'].item() == 0
    assert recorder.outputs['loss_guidance_cls'].item() == 0
    assert np.isfinite(recorder.outputs['loss'].item())


def test_batch_size_with_a_batch_sampler():
    sampler = BatchSampler(SequentialSampler(range(8)), 4, drop_last=False)
    assert batch_size_of(DataLoader(range(8), batch_sampler=sampler)) == 4
    assert batch_size_of(DataLoader(range(8), batch_size=2)) == 2


def test_other_models_are_rejected(runner_from, tmp_path):
    cfg = toy.classification(tmp_path, {'model.type': 'ImageClassifier'})
    del cfg['model']['guidance']
    with pytest.raises(TypeError, match='but got ImageClassifier'):
        runner_from(cfg).train()
