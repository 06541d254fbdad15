"""Guidance by all classes of an image, in the model and in runs."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdavpt.models.guidance import regions
from mmdavpt.registry import MODELS
from tests import toy

PRESENT = {
    'model.guidance.labels': 'present',
    'model.guidance.loss.token': 'patch_output',
}


def build(tmp_path, **changes):
    cfg = Config(toy.segmentation(tmp_path, {**PRESENT, **changes}))
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.train()
    model.guidance.initialized.fill_(True)
    model.guidance.mapping.copy_(torch.arange(27) % 3)
    model.guidance.mapping[0] = -1
    return model


def batch(model, seed=0):
    """Return two images, and samples with pixel labels in 8x8 blocks."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(2, 3, 32, 32, generator=generator)
    blocks = torch.randint(0, 5, (2, 4, 4), generator=generator)
    blocks[1, 0] = 255
    pixels = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=p[None]),
            metainfo=dict(guidance_label=1, img_shape=(32, 32)),
        )
        for p in pixels
    ]
    return inputs, samples, blocks.flatten(1)


def slow_losses(model, inputs, blocks):
    """Take each class's patches one by one, and compare their means."""
    request = model.guidance.request(model.regions(batch(model)[1]))
    _, tokens = model.backbone.forward_with_tokens(inputs, request)
    tokens = tokens.guided[1]
    outputs, queries, labels = [], [], []
    for b in range(2):
        for k in range(1, 27):  # 0 is the background
            mine = [n for n in range(16) if blocks[b, n] == k]
            if mine:
                outputs.append(
                    sum(tokens['patch_output'][b, n] for n in mine) / len(mine)
                )
                queries.append(
                    sum(tokens['patch_query'][b, n] for n in mine) / len(mine)
                )
                labels.append(k)
    target = model.guidance.mapping[torch.tensor(labels)]
    return model.guidance.loss(
        {
            1: dict(
                patch_output=torch.stack(outputs)[:, None],
                cls_query=torch.stack(queries),
                prompt_query=tokens['prompt_query'],
            )
        },
        target,
        torch.ones(3, dtype=bool),
    ), labels


def test_losses_equal_a_loop_over_patches(tmp_path):
    model = build(tmp_path)
    inputs, samples, blocks = batch(model)
    losses = model.loss(inputs, samples)
    expected, labels = slow_losses(model, inputs, blocks)
    for name in ('loss_guidance_token', 'loss_guidance_cls'):
        torch.testing.assert_close(losses[name], expected[name])
        assert losses[name] > 0
    counts = torch.bincount(torch.tensor(labels), minlength=27)
    assert torch.equal(model.guidance.new_counts, counts)


def test_class_representations_are_means_of_regions(tmp_path):
    model = build(tmp_path)
    inputs, samples, blocks = batch(model)
    model.loss(inputs, samples)
    _, tokens = model.backbone.forward_with_tokens(inputs)
    for k in range(1, 5):
        expected = torch.zeros(32)
        for b in range(2):
            mine = (blocks[b] == k).nonzero().flatten()
            if len(mine):
                expected += tokens.patches[b, mine].mean(0)
        torch.testing.assert_close(
            model.guidance.new_sums[k], expected, rtol=1e-4, atol=1e-5
        )


def test_prompts_get_the_gradient_of_all_classes(tmp_path):
    model = build(tmp_path)
    inputs, samples, _ = batch(model)
    losses = model.loss(inputs, samples)
    guided = losses['loss_guidance_token'] + losses['loss_guidance_cls']
    grads = torch.autograd.grad(guided, model.backbone.prompts['1'])[0]
    assert (grads.abs().amax(1) > 0).all()


def test_an_image_without_a_class_takes_no_part(tmp_path):
    model = build(tmp_path)
    inputs, samples, _ = batch(model)
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
        sample.gt_sem_seg.data[..., 0, 0] = 3  # less than half of a patch
    losses = model.loss(inputs, samples)
    assert losses['loss_guidance_token'] == 0
    losses['loss_guidance_token'].backward()
    assert not model.guidance.new_counts.any()


def test_run_and_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, 'COVERAGE', 0.1)  # letters are thin
    changes = {
        **PRESENT,
        'default_hooks.checkpoint.interval': 2,
    }

    def run(name, **more):
        cfg = toy.segmentation(tmp_path / name, {**changes, **more})
        runner = Runner.from_cfg(Config(cfg))
        runner.train()
        return runner

    whole = run('a')
    guidance = whole.model.guidance
    assert guidance.initialized and (guidance.mapping[1:] >= 0).all()
    assert guidance.mapping[0] == -1
    run('b', **{'train_cfg.max_iters': 2})
    cfg = toy.segmentation(tmp_path / 'b', changes)
    resumed = Runner.from_cfg(
        Config(dict(cfg, resume=True, load_from=f'{tmp_path}/b/iter_2.pth'))
    )
    resumed.train()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_random_and_present_differ(tmp_path):
    present = build(tmp_path)
    inputs, samples, _ = batch(present)
    losses = present.loss(inputs, samples)
    random = build(tmp_path, **{'model.guidance.labels': 'random'})
    other = random.loss(inputs, samples)
    assert losses['loss_guidance_token'] != other['loss_guidance_token']
    assert torch.equal(losses['decode.loss_ce'], other['decode.loss_ce'])


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'model.guidance.labels': 'all'}, 'guidance.labels should be one of'),
        (
            {'model.guidance.loss.token': 'saliency'},
            "set guidance.loss.token='patch_output'",
        ),
        (
            {
                'model.guidance.loss.token': None,
                'model.guidance.loss.token_weight': 0,
                'model.guidance.loss.cls': 'attention',
            },
            'cls_attention',
        ),
    ],
)
def test_invalid_options(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **changes)


def test_no_label_is_drawn_if_all_classes_guide(tmp_path):
    model = build(tmp_path)
    inputs, samples, _ = batch(model)
    expected = model.loss(inputs, samples)
    for sample in samples:
        sample.pop('guidance_label')
    losses = model.loss(inputs, samples)
    assert torch.equal(
        losses['loss_guidance_cls'], expected['loss_guidance_cls']
    )


def test_the_cls_term_alone_can_guide(tmp_path):
    changes = {
        'model.guidance.loss.token': None,
        'model.guidance.loss.token_weight': 0,
    }
    model = build(tmp_path, **changes)
    losses = model.loss(*batch(model)[:2])
    guided = {name for name in losses if 'guidance' in name}
    assert guided == {'loss_guidance_cls'}


def test_classifiers_reject_pixel_labels(tmp_path):
    cfg = toy.classification(tmp_path, PRESENT)
    init_default_scope('mmpretrain')
    with pytest.raises(ValueError, match='needs pixel labels'):
        MODELS.build(cfg['model'])


def test_ignored_labels_do_not_guide(tmp_path):
    heads = ('decode_head', 'auxiliary_head.0')
    changes = {f'model.{head}.ignore_index': 2 for head in heads}
    model = build(tmp_path, **changes)
    labels = model.regions(batch(model)[1]).labels.tolist()
    assert 2 in build(tmp_path).regions(batch(model)[1]).labels.tolist()
    assert labels and 2 not in labels
