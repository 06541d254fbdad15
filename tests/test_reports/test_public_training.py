"""Options of a training mean what users take them for."""

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import TRANSFORMS
from mmseg.models import CrossEntropyLoss
from torch.nn import functional

from mmdavpt.checks.silent import better_values

from . import runs
from .commands import log_of, refusal, start, trained

MAPPING = dict(type='mmdavpt.PromptMappingHook')
GUIDED = dict(
    guided_layers=(-1,),
    loss=dict(type='mmdavpt.DAVPTLoss', token_weight=0.1, cls_weight=0.1),
)


@pytest.fixture
def photos(tmp_path):
    return runs.classification(runs.photos(tmp_path / 'data', number=6))


@pytest.fixture
def masks(tmp_path):
    return runs.segmentation(runs.masks(tmp_path / 'masks'))


@pytest.mark.parametrize(
    'changes',
    [
        {'default_hooks.checkpoint.save_best': 'accuracy/top1'}
        | {'default_hooks.checkpoint.rule': 'less'},
        {'default_hooks.stop': dict(type='EarlyStoppingHook')}
        | {'default_hooks.stop.monitor': 'accuracy/top1'}
        | {'default_hooks.stop.rule': 'less'},
        # The default rule of this schedule is 'less'.
        {'param_scheduler': dict(type='ReduceOnPlateauLR')}
        | {'param_scheduler.monitor': 'accuracy/top1'},
    ],
)
def test_a_rule_that_keeps_the_worst(photos, changes):
    """The worst checkpoints are kept [pytorch_geometric #6306]."""
    said = runs.sentence(runs.toy._merge(photos, changes))
    assert "has rule='less' for accuracy/top1, so it would take the" in said
    path = next(key for key in changes if 'rule' in key or '.' not in key)
    path = path if path.endswith('rule') else f'{path}.rule'
    changes = {**changes, path: 'greater'}
    assert runs.sentence(runs.toy._merge(photos, changes)) == ''


def test_rules_of_metrics():
    assert better_values('single-label/precision') == 'greater'
    assert better_values('mIoU') == better_values('coco/bbox_mAP') == 'greater'
    assert better_values('val_loss') == 'less'
    assert better_values('mape') is better_values('f1-score') is None


def test_class_weights_with_ignored_pixels(masks, tmp_path, capsys):
    """IndexError for class_weight with avg_non_ignore [mmseg #3412, #3831].

    Without avg_non_ignore, the loss is that of PyTorch, which averages over
    pixels that are not ignored.
    """
    head = 'model.decode_head.loss_decode'
    changes = {f'{head}.class_weight': [1.0, 2.0, 3.0]}
    said = refusal(capsys, 'train', runs.toy._merge(masks, changes), tmp_path)
    assert 'of the training step failed' in said and 'IndexError' in said
    changes[f'{head}.avg_non_ignore'] = False
    assert runs.sentence(runs.toy._merge(masks, changes)) == ''
    logits = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(0))
    labels = torch.arange(40).reshape(2, 4, 5) % 3
    labels[:, 0] = 255
    loss = CrossEntropyLoss(class_weight=[1.0, 2.0, 3.0])
    expected = functional.cross_entropy(
        logits, labels, torch.tensor([1.0, 2.0, 3.0]), ignore_index=255
    )
    torch.testing.assert_close(
        loss(logits, labels, ignore_index=255), expected
    )


def test_accumulation_equals_larger_batches(photos):
    """The last, incomplete accumulation is scaled wrongly [Lightning #19987].

    18 images are three batches of 6: two steps, of 12 and of 6 images.
    """
    photos['train_dataloader']['sampler']['shuffle'] = False
    photos['optim_wrapper']['optimizer'] = dict(type='SGD', lr=0.1)
    photos['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    states = []
    for batch, counts in ((6, 2), (12, 1), (6, 1)):
        photos['train_dataloader']['batch_size'] = batch
        photos['optim_wrapper']['accumulative_counts'] = counts
        runner = trained(photos, f'accumulation_{batch}_{counts}')
        states.append(runner.model.state_dict())
    name = 'backbone.prompts.0'
    torch.testing.assert_close(states[0][name], states[1][name])
    torch.testing.assert_close(
        states[0]['head.fc.weight'], states[1]['head.fc.weight']
    )
    assert not torch.allclose(states[0][name], states[2][name])


def test_a_schedule_in_epochs(masks):
    """The rate freezes after an "epoch" of iterations [xtuner #386]."""
    masks['param_scheduler'] = dict(type='CosineAnnealingLR', eta_min=0)
    said = runs.sentence(masks)
    assert '`param_scheduler.by_epoch` is True, but the training c' in said


def test_a_short_run_is_validated_and_logged(masks, tmp_path):
    """A short run has no validation [luxonis-train #46], and no line of its
    losses [mmengine #935], if the intervals are longer.
    """
    checkpoint = masks['default_hooks']['checkpoint']
    checkpoint.update(interval=100, save_best='mIoU')
    masks['default_hooks']['logger']['interval'] = 50
    masks['train_cfg'].update(val_interval=100)
    start('train', masks, tmp_path)
    folder = tmp_path / 'run_masks'
    names = {path.name for path in folder.glob('*.pth')}
    assert names == {'iter_4.pth', 'best_mIoU_iter_4.pth'}
    assert 'decode.loss_ce' in log_of(folder)


def test_workers_without_a_process(photos):
    """`num_workers=0` alone fails late [mmseg #2514]."""
    photos['train_dataloader']['persistent_workers'] = True
    said = runs.sentence(photos)
    assert 'persistent_workers option needs num_workers > 0' in said


@pytest.mark.parametrize('guidance', [None, GUIDED])
def test_a_last_batch_of_one_image(photos, guidance):
    """A last batch of one image stops the training [fastai #1352]."""
    photos['model']['guidance'] = guidance
    photos['custom_hooks'] = [MAPPING] if guidance else []
    photos['train_dataloader']['batch_size'] = 17
    runner = trained(photos, f'one_{guidance is None}')
    assert runner.iter == 4
    loss = runner.message_hub.get_scalar('train/loss').current()
    assert torch.isfinite(torch.as_tensor(loss))


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='ClassBalancedDataset', oversample_thr=0.3),
        dict(type='RepeatDataset', times=2),
    ],
)
def test_guidance_over_wrapped_datasets(photos, tmp_path, wrapper):
    """Class-balanced datasets fail for custom data [mmpretrain #1016]."""
    for path in sorted((tmp_path / 'data/blue').iterdir())[1:]:
        path.unlink()
    loader = photos['train_dataloader']
    loader['dataset'] = dict(wrapper, dataset=loader['dataset'])
    photos['model']['guidance'] = GUIDED
    photos['custom_hooks'] = [MAPPING]
    runner = trained(photos, f'wrapped_{wrapper["type"]}')
    # One of 13 images is blue: ceil(sqrt(0.3 / (1 / 13))) = 2 times.
    length = len(runner.train_dataloader.dataset)
    assert length == (26 if 'times' in wrapper else 14)
    assert runner.model.guidance.mapping.tolist() != [-1, -1, -1]


def test_averaged_weights_are_validated_and_saved(masks, tmp_path):
    """Iterations validate and save other weights than EMA's [mmcv #2195]."""
    masks['custom_hooks'] = [dict(type='EMAHook', momentum=0.3)]
    masks['train_cfg']['val_interval'] = 4
    runner = trained(masks, 'ema')
    validated = runner.message_hub.get_scalar('val/mIoU').current()
    file = tmp_path / 'run_masks/iter_4.pth'
    saved = torch.load(file, weights_only=False)
    name = 'decode_head.conv_seg.weight'
    averaged, trained_last = saved['state_dict'], runner.model.state_dict()
    assert not torch.equal(averaged[name], trained_last[name])
    runner.model.load_state_dict(averaged)
    again = runner.val_loop
    again.runner.call_hook = lambda *args, **kwargs: None  # swap nothing
    assert again.run()['mIoU'] == validated


@TRANSFORMS.register_module()
class DrawForTest(BaseTransform):
    """Keep draws of each generator in the sample."""

    def transform(self, results):
        import random

        import numpy as np

        results['ori_shape'] = (
            np.random.random(),
            random.random(),
            torch.rand(1).item(),
        )
        return results


@pytest.mark.forks
def test_workers_draw_different_numbers(photos):
    """Workers, and epochs, repeat each other's augmentations.

    As in [pytorch #5059] and [Lightning #20412].
    """
    drawn = []

    class Collect(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch, outputs):
            drawn.extend(s.ori_shape for s in data_batch['data_samples'])

    loader = photos['train_dataloader']
    loader.update(num_workers=2, batch_size=3)
    pipeline = loader['dataset']['pipeline']
    draw = dict(type='DrawForTest')
    loader['dataset']['pipeline'] = [pipeline[0], draw, pipeline[1]]
    photos['train_cfg'] = dict(by_epoch=True, max_epochs=2, val_interval=9)
    cfg = dict(photos, custom_hooks=[Collect()])
    trained(cfg, 'draws')
    assert len(drawn) == 36
    for generator in zip(*drawn, strict=True):
        assert len(set(generator)) == 36


def test_early_stopping_by_a_missing_metric(photos, tmp_path, capsys):
    """Early stopping is skipped with a warning [mmengine #1491, mmseg #3063].

    'loss' is no metric of the validation.
    """
    hook = dict(type='EarlyStoppingHook', monitor='loss')
    photos['default_hooks']['stop'] = hook
    said = refusal(capsys, 'train', photos, tmp_path)
    assert "needs the metric 'loss', but the validation gives acc" in said
