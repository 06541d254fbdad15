"""Wrong classes, labels and losses stop a training, guided or not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.models import LinearClsHead, MultiLabelLinearClsHead
from mmpretrain.structures import DataSample
from torch import nn

from mmdavpt.engine.hooks import TrainingCheckHook
from mmdavpt.errors import UsageError
from tests import toy

CHECKED = {
    'custom_hooks': [
        dict(type='mmdavpt.TrainingCheckHook'),
        dict(type='mmdavpt.PromptMappingHook'),
    ]
}


def train(runner_from, cfg):
    runner_from(cfg).train()


@pytest.mark.parametrize('guided', [True, False])
@pytest.mark.parametrize(
    'make, head, classes',
    [
        (toy.classification, 'head', 6),
        (toy.segmentation, 'decode_head', 27),
        (toy.segmentation, 'auxiliary_head.0', 27),
    ],
)
@pytest.mark.parametrize('more', [-1, 2])
def test_class_count_of_each_head(
    runner_from, tmp_path, make, head, classes, guided, more
):
    changes = {**CHECKED, f'model.{head}.num_classes': classes + more}
    if not guided:
        changes['model.guidance'] = None
    message = (
        f'has {classes} classes, but the model has num_classes='
        f'{classes + more} in its {head}; set model.{head}.num_classes='
        f'{classes}'
    )
    with pytest.raises(ValueError, match=message):
        train(runner_from, make(tmp_path, changes))


@pytest.mark.parametrize('guided', [True, False])
def test_label_out_of_range(runner_from, tmp_path, guided):
    runner = runner_from(
        toy.classification(
            tmp_path,
            {**CHECKED, **({} if guided else {'model.guidance': None})},
        )
    )
    draw = runner.train_dataloader.dataset.get_data_info

    def wrong(index):
        return dict(draw(index), gt_label=6, img_path='birds/0.png')

    runner.train_dataloader.dataset.get_data_info = wrong
    with pytest.raises(
        ValueError,
        match=r'birds/0.png should have exactly one `gt_label`, in \[0, 6\)',
    ):
        runner.train()


@pytest.mark.parametrize('several', [True, False])
def test_heads_for_several_classes_take_several_labels(several):
    model = nn.Module()
    kind = MultiLabelLinearClsHead if several else LinearClsHead
    model.head = kind(num_classes=3, in_channels=2)
    batch = dict(data_samples=[DataSample().set_gt_label([0, 2])])
    runner = SimpleNamespace(model=model)
    hook = TrainingCheckHook()
    if several:
        hook.before_train_iter(runner, 0, batch)
    else:
        with pytest.raises(ValueError, match='should have exactly one'):
            hook.before_train_iter(runner, 0, batch)


@pytest.mark.parametrize('guided', [True, False])
def test_pixel_label_out_of_range(runner_from, tmp_path, guided):
    runner = runner_from(
        toy.segmentation(
            tmp_path,
            {**CHECKED, **({} if guided else {'model.guidance': None})},
        )
    )
    draw = runner.train_dataloader.dataset.get_data_info

    def wrong(index):
        info = draw(index)
        info['gt_seg_map'][3, 4] = 98
        return info

    runner.train_dataloader.dataset.get_data_info = wrong
    with pytest.raises(
        ValueError,
        match=r'scene_0.*: pixel labels should lie in \[0, 27\).* \[98\]',
    ):
        runner.train()


def test_missing_annotation(runner_from, tmp_path):
    runner = runner_from(
        toy.segmentation(tmp_path, {**CHECKED, 'model.guidance': None})
    )
    draw = runner.train_dataloader.dataset.get_data_info

    def without(index):
        info = draw(index)
        del info['gt_seg_map']
        return info

    runner.train_dataloader.dataset.get_data_info = without
    with pytest.raises(ValueError, match='add `LoadAnnotations`'):
        runner.train()


@pytest.mark.parametrize('make', [toy.classification, toy.segmentation])
def test_nan_image_is_named(runner_from, tmp_path, make):
    runner = runner_from(make(tmp_path, {**CHECKED, 'model.guidance': None}))
    draw = runner.train_dataloader.dataset.get_data_info

    def broken(index):
        info = draw(index)
        info['img'] = np.full((32, 32, 3), np.nan, np.float32)
        info['img_path'] = f'birds/{index}.png'
        return info

    runner.train_dataloader.dataset.get_data_info = broken
    with pytest.raises(
        ValueError,
        match=r'is nan in iteration 1 .*birds/\d+.png.*for NaN.*--resume',
    ):
        runner.train()


def test_no_images(runner_from, tmp_path):
    runner = runner_from(toy.classification(tmp_path, CHECKED))
    hook = next(
        h for h in runner.hooks if type(h).__name__ == 'TrainingCheckHook'
    )

    class Empty(list):
        pass

    runner.train_dataloader  # noqa: B018  (a property that builds)
    runner.train_loop.dataloader = type('Loader', (), dict(dataset=Empty()))()
    with pytest.raises(ValueError, match='Empty should have images'):
        hook.before_train(runner)


def test_valid_training_passes(runner_from, tmp_path):
    seen = []

    class Last(Hook):
        def after_train(self, runner):
            seen.append(runner.iter)

    runner = runner_from(toy.segmentation(tmp_path, CHECKED))
    runner.register_hook(Last())
    runner.train()
    assert seen == [4]


def test_validation_set_has_the_same_classes(runner_from, tmp_path):
    cfg = toy.classification(
        tmp_path, {**CHECKED, 'val_dataloader.dataset.chars': 'ABCDEG'}
    )
    with pytest.raises(ValueError, match=r'only one of them has F, G'):
        runner_from(cfg).train()


def test_non_finite_checkpoint_is_not_written(runner_from, tmp_path):
    runner = runner_from(toy.classification(tmp_path, CHECKED))

    class Diverge(Hook):
        def after_train_epoch(self, runner):
            runner.model.head.fc.bias.data[0] = torch.inf

    runner.register_hook(Diverge())
    with pytest.raises(
        UsageError, match='finite weights, but 1 of .* such as head.fc.bias'
    ):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))
