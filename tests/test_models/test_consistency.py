"""The comparison of two forward passes of a training step."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.models import LinearClsHead
from mmseg.models.decode_heads import FCNHead

from mmdavpt.errors import UsageError
from mmdavpt.models.losses import symmetric_kl
from mmdavpt.registry import DATASETS, MODELS

from .. import toy

SCOPES = dict(classification='mmpretrain', segmentation='mmseg')
TASKS = pytest.mark.parametrize('task', SCOPES)


def model_and_data(task, weight=1.0, guided=True, timm=False, **changes):
    """Return a model of a task, in training, and a batch of four images."""
    init_default_scope(SCOPES[task])
    tuner = dict(type='MoSA', rank=4, consistency_weight=weight)
    changes = {
        'model.backbone.tuners': [tuner],
        'model.backbone.init_cfg': None,
        **changes,
    }
    if not guided:
        changes['model.guidance'] = None
    cfg = getattr(toy, task)('.', changes)
    if timm:
        backbone = dict(
            cfg['model']['backbone'],
            type='mmdavpt.DAVPTTimmViT',
            model_name='vit_base_patch16_siglip_gap_224',
            embed_dim=32,
            num_heads=2,
            depth=2,
        )
        backbone.pop('arch')
        if task == 'classification':
            backbone['out_type'] = 'pooled'
        cfg['model']['backbone'] = backbone
    torch.manual_seed(0)
    model = MODELS.build(cfg['model']).train()
    with torch.no_grad():  # experts differ from the start
        for up in model.backbone.tuners.MoSA.up:
            up.weight.normal_()
    dataset = DATASETS.build(cfg['train_dataloader']['dataset'])
    samples = [dataset[i] for i in range(4)]
    batch = {k: [s[k] for s in samples] for k in samples[0]}
    if guided:
        guidance = model.guidance
        guidance.new_sums.normal_()
        guidance.new_counts.fill_(1)
        model.refresh_mapping()
    return model, model.data_preprocessor(batch, training=True)


def losses_of(model, data, seed=1):
    """Return the losses of one step, without changing the model."""
    model = copy.deepcopy(model)
    torch.manual_seed(seed)
    return model, model.loss(**copy.deepcopy(data))


def main_head(model):
    return getattr(model, 'decode_head', None) or model.head


def key(task):
    prefix = 'decode.' if task == 'segmentation' else ''
    return f'{prefix}loss_consistency'


@TASKS
@pytest.mark.parametrize('guided', [False, True])
@pytest.mark.parametrize('timm', [False, True])
def test_second_pass_is_compared_and_not_trained_otherwise(task, guided, timm):
    model, data = model_and_data(task, guided=guided, timm=timm)
    after, losses = losses_of(model, data)
    value = losses.pop(key(task))

    once = copy.deepcopy(model)
    once.backbone.tuners.MoSA.consistency_weight = 0.0
    once, plain = losses_of(once, data)
    plain = {'loss_head' if k == 'loss' else k: v for k, v in plain.items()}
    assert plain.keys() == losses.keys()
    assert all(torch.equal(plain[k], losses[k]) for k in plain)
    if guided:  # images are observed once
        assert torch.equal(once.guidance.new_sums, after.guidance.new_sums)
        assert (
            after.guidance.new_counts.sum() == once.guidance.new_counts.sum()
        )

    torch.manual_seed(1)
    logits = [
        main_head(model)(model.extract_feat(data['inputs'])) for _ in range(2)
    ]
    expected = symmetric_kl(*logits)
    torch.testing.assert_close(value, expected, rtol=1e-3, atol=0)
    assert value > 1e-6 and value.requires_grad


@TASKS
def test_weight(task):
    model, data = model_and_data(task, weight=1.0, guided=False)
    value = losses_of(model, data)[1][key(task)]
    model.backbone.tuners.MoSA.consistency_weight = 3.0
    torch.testing.assert_close(losses_of(model, data)[1][key(task)], 3 * value)


@TASKS
@pytest.mark.parametrize('guided', [False, True])
def test_nothing_is_run_twice_without_weight(task, guided):
    for weight in (0.0, 1.0):
        model, data = model_and_data(task, weight=weight, guided=guided)
        calls = []
        forward = model.backbone.forward_with_tokens

        def counted(*args, forward=forward, calls=calls):
            calls.append(args)
            return forward(*args)

        model.backbone.forward_with_tokens = counted
        head, of_head = main_head(model), []
        run_head = head.forward

        def counted_head(*args, run_head=run_head, of_head=of_head):
            of_head.append(args)
            return run_head(*args)

        head.forward = counted_head
        losses = model.loss(**data)
        assert len(calls) == len(of_head) == 1 + weight
        assert (key(task) in losses) == bool(weight)
        calls.clear()
        assert key(task) not in model.eval().loss(**data)
        assert len(calls) == 1


def test_highest_weight_of_all_tuners():
    two = [
        dict(type='MoSA', rank=4, consistency_weight=0.5),
        dict(type='LoRA'),
        dict(type='MoSA', rank=4, consistency_weight=2.0, name='second'),
    ]
    changes = {'model.backbone.tuners': two}
    model, _ = model_and_data('classification', guided=False, **changes)
    assert model.consistency_weight == 2.0


@TASKS
def test_other_backbones_run_once(task):
    model, _ = model_and_data(task, guided=False)
    model.backbone = torch.nn.Identity()
    assert model.consistency_weight == 0.0


class OwnLossHead(LinearClsHead):
    def loss(self, feats, data_samples):
        return super().loss(feats, data_samples)


class TwoOutputsHead(FCNHead):
    def forward(self, inputs):
        return super().forward(inputs), None


@pytest.mark.parametrize(
    'task, head',
    [
        ('classification', dict(type=OwnLossHead, in_channels=32)),
        (
            'segmentation',
            dict(
                type=TwoOutputsHead,
                in_channels=32,
                channels=8,
                in_index=1,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            ),
        ),
    ],
)
def test_heads_without_logits_are_rejected(task, head):
    classes = dict(classification=6, segmentation=27)[task]
    name = 'head' if task == 'classification' else 'decode_head'
    head = dict(head, num_classes=classes)
    changes = {f'model.{name}': head}
    model, data = model_and_data(task, guided=False, **changes)
    with pytest.raises(UsageError, match=f'{head["type"].__name__} does not'):
        model.loss(**data)
