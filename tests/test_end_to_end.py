"""The glyph configs, shortened: they learn, and a reload predicts the same."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tools.dataset_converters.glyph_writers import write_scenes_ade20k

CONFIGS = Path(__file__).parents[1] / 'configs' / 'glyphs'


class Losses(Hook):
    """Keeps the loss terms of each iteration."""

    def __init__(self):
        self.terms = []

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        self.terms.append({k: v.item() for k, v in outputs.items()})

    def mean(self, name, part):
        values = [terms[name] for terms in self.terms]
        size = max(1, len(values) // 5)
        values = values[:size] if part == 'first' else values[-size:]
        return sum(values) / len(values)


def tune(name, work_dir, options):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.experiment_name = str(work_dir), str(work_dir)
    losses = Losses()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(losses)
    runner.train()
    return runner, losses


def first_prediction(runner):
    data = runner.test_dataloader.dataset[0]
    runner.model.eval()
    with torch.no_grad():
        sample = runner.model.test_step({k: [v] for k, v in data.items()})[0]
    return (
        sample.seg_logits.data if 'seg_logits' in sample else sample.pred_score
    )


def reload_equals(runner, name, work_dir, options, checkpoint, expected):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir}_again'
    cfg.load_from = str(work_dir / checkpoint)
    again = Runner.from_cfg(cfg)
    assert again.test() == expected
    torch.testing.assert_close(
        first_prediction(again), first_prediction(runner)
    )
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key


@pytest.mark.parametrize('name', ['davpt_glyphs.py', 'vpt_glyphs.py'])
def test_classifier_learns_and_reloads(tmp_path, name):
    options = {
        'train_cfg.max_epochs': 3,
        'train_dataloader.dataset.num_images': 62 * 10,
        'test_dataloader.dataset.num_images': 310,
        'train_cfg.val_interval': 10,
    }
    runner, losses = tune(name, tmp_path, options)
    terms = ['loss'] + (
        ['loss_guidance_token', 'loss_guidance_cls']
        if name == 'davpt_glyphs.py'
        else []
    )
    for term in terms:
        assert losses.mean(term, 'last') < losses.mean(term, 'first'), term
    metrics = runner.test()
    # Chance is 1.6 %.
    assert metrics['accuracy/top1'] > 12
    reload_equals(runner, name, tmp_path, options, 'epoch_3.pth', metrics)


def test_segmentor_learns_and_reloads(tmp_path):
    root = tmp_path / 'scenes'
    for seed, (split, number) in enumerate(
        dict(training=48, validation=6).items()
    ):
        write_scenes_ade20k(str(root), split, number, seed=seed, size=(64, 96))
    options = {
        f'{split}_dataloader.dataset.data_root': str(root)
        for split in ('train', 'val', 'test')
    }
    options.update(
        {
            'train_cfg.max_iters': 60,
            'train_cfg.val_interval': 1000,
            'train_dataloader.batch_size': 4,
        }
    )
    name = 'setr_davpt_glyphs.py'
    runner, losses = tune(name, tmp_path / 'work', options)
    for term in ('loss', 'decode.loss_ce', 'loss_guidance_cls'):
        assert losses.mean(term, 'last') < losses.mean(term, 'first'), term
    metrics = runner.test()
    # Calling everything background gives 100 / 27 = 3.7 at the very most.
    assert metrics['mIoU'] > 5
    reload_equals(
        runner, name, tmp_path / 'work', options, 'iter_60.pth', metrics
    )


def test_shipped_backbone_recognises_what_it_was_trained_on():
    """The card says 98.7 % of held-out images; a part of them is drawn."""
    cfg = Config.fromfile(CONFIGS / 'pretrain_glyphs.py')
    cfg.work_dir = '/nonexistent'
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint
    from mmpretrain.registry import DATASETS, MODELS

    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            cfg.model,
            data_preprocessor=dict(
                cfg.data_preprocessor, type='ClsDataPreprocessor'
            ),
        )
    )
    load_checkpoint(
        model,
        str(CONFIGS.parents[1] / 'checkpoints' / 'vit-tiny_glyphs.pth'),
        map_location='cpu',
        strict=True,
    )
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, num_images=202))
    items = [dataset[i] for i in range(202)]
    model.eval()
    data = model.data_preprocessor(
        dict(
            inputs=torch.stack([item['inputs'] for item in items]),
            data_samples=[item['data_samples'] for item in items],
        )
    )
    with torch.no_grad():
        scores = model(data['inputs'])
    labels = torch.cat([sample.gt_label for sample in data['data_samples']])
    assert (scores.argmax(1) == labels).float().mean() > 0.95
