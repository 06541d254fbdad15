"""The state of guidance, and guided models."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmdavpt.mapping import MappingResult
from mmdavpt.models import (
    DAVPTEncoderDecoder,
    DAVPTImageClassifier,
    PromptGuidance,
)
from mmdavpt.models.backbones import BackboneTokens
from mmdavpt.models.guidance.prompt_guidance import resolve_guided_layers
from mmdavpt.registry import MODELS
from tests import toy


def guidance(**kwargs):
    cfg = dict(
        num_classes=4,
        num_prompts=2,
        embed_dims=3,
        guided_layers=(1,),
        loss=dict(type='mmdavpt.DAVPTLoss'),
    )
    return PromptGuidance(**{**cfg, **kwargs})


def build(make, changes=None):
    torch.manual_seed(0)
    model = make('unused', changes)['model']
    init_default_scope('mmseg' if make is toy.segmentation else 'mmpretrain')
    return MODELS.build(model)


def set_mapping(model, mapping=(0, 1, 2, 0, 1, 2)):
    model.guidance.set_mapping(
        MappingResult(np.array(mapping), np.ones((3, 32)))
    )


def batch(num=6):
    samples = [DataSample().set_gt_label(i % 6) for i in range(num)]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, 32, 32, generator=generator), samples


def test_targets_and_request():
    state = guidance()
    state.mapping.copy_(torch.tensor([1, -1, 0, 1]))
    labels = torch.tensor([0, 1, -1, 2, 3])
    assert state.targets(labels).tolist() == [1, -1, -1, 0, 1]
    request = state.request(labels)
    assert request.layers == (1,) and 'saliency' in request.names


def test_epoch_of_hand_worked_statistics():
    state = guidance()
    state.observe(
        torch.tensor([[1.0, 2, 3], [3, 2, 1], [9, 9, 9]]),
        torch.tensor([2, 2, -1]),
    )
    assert state.class_sums.sum() == 0
    state.collect()
    assert state.new_sums.sum() == 0 and state.new_counts.sum() == 0
    assert state.class_sums[2].tolist() == [4, 4, 4]
    state.update_representations()
    assert state.representations[2].tolist() == [2, 2, 2]
    assert state.seen.tolist() == [False, False, True, False]
    assert state.class_sums.sum() == 0 and state.class_counts.sum() == 0
    # A class unseen in this epoch keeps its representation.
    state.update_representations()
    assert state.representations[2].tolist() == [2, 2, 2]


def test_reclustering_starts_from_the_previous_centroids():
    """Else the same classes could get other prompts in each epoch."""
    state = guidance()
    features = torch.tensor([[9.0, 0, 0], [9, 1, 0], [0, 0, 9], [0, 1, 9]])
    state.observe(features, torch.arange(4))
    first, moved = state.recluster()
    assert moved is None and first.sizes.tolist() == [2, 2]
    for mapping in (1 - first.mapping, first.mapping):
        state.set_mapping(
            MappingResult(mapping, state.centroids.flip(0).numpy())
        )
        state.observe(features, torch.arange(4))
        again, moved = state.recluster()
        assert moved == 0 and again.mapping.tolist() == mapping.tolist()


def test_features_that_are_not_finite_are_rejected():
    state = guidance()
    state.observe(torch.tensor([[float('nan'), 0, 0]]), torch.tensor([3]))
    with pytest.raises(ValueError, match=r'classes 3 are not'):
        state.recluster()


def test_all_state_is_saved_and_loaded():
    state = guidance()
    state.set_mapping(
        MappingResult(np.array([0, 1, 1, 0]), np.arange(6.0).reshape(2, 3))
    )
    state.class_sums += 2
    other = guidance()
    other.load_state_dict(state.state_dict(), strict=True)
    assert set(state.state_dict()) == {
        'mapping',
        'centroids',
        'representations',
        'seen',
        'class_sums',
        'class_counts',
        'initialized',
    }
    for name, value in state.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    other.reset()
    fresh = guidance().state_dict()
    for name, value in other.state_dict().items():
        assert torch.equal(value, fresh[name])


def test_unassigned_prompts_are_not_guided():
    """With P > K the loss does not move the prompts without a class."""
    model = build(toy.classification)
    set_mapping(model, (0, 0, 1, 1, 0, 1))
    inputs, samples = batch()
    losses = model.train().loss(inputs, samples)
    guided = losses['loss_guidance_token'] + losses['loss_guidance_cls']
    (grad,) = torch.autograd.grad(guided, [model.backbone.prompts['1']])
    assert grad[2].abs().max() == 0 and grad[:2].abs().max() > 0


@pytest.mark.parametrize('make', [toy.classification, toy.segmentation])
def test_guidance_has_no_effect_on_prediction(make):
    guided = build(make).eval()
    plain = build(make, {'model.guidance': None}).eval()
    plain.load_state_dict(guided.state_dict(), strict=False)
    inputs, _ = batch()
    called = []
    guided.guidance.register_forward_hook(lambda *args: called.append(args))
    assert torch.equal(
        torch.stack(list(guided.extract_feat(inputs))),
        torch.stack(list(plain.extract_feat(inputs))),
    )
    assert not called
    assert guided.backbone.forward_with_tokens(inputs)[1].guided == {}


def test_guided_and_unguided_head_losses_are_equal():
    guided = build(toy.classification)
    plain = build(toy.classification, {'model.guidance': None})
    plain.load_state_dict(guided.state_dict(), strict=False)
    set_mapping(guided)
    inputs, samples = batch()
    guided.train(), plain.train()
    ours, theirs = guided.loss(inputs, samples), plain.loss(inputs, samples)
    assert torch.allclose(ours['loss_head'], theirs['loss'])
    assert set(ours) - set(theirs) == {
        'loss_head',
        'loss_guidance_token',
        'loss_guidance_cls',
    }


def test_the_logged_loss_is_the_minimised_one():
    model = build(toy.classification).train()
    set_mapping(model)
    losses = model.loss(*batch())
    total, log = model.parse_losses(losses)
    assert len(losses) == 3
    assert torch.equal(total, sum(losses.values()))
    assert torch.equal(log['loss'], total)


@pytest.mark.parametrize('make', [toy.classification, toy.segmentation])
def test_every_trainable_parameter_gets_a_gradient_and_no_other(make):
    model = build(
        make,
        {
            'model.backbone.bias': ('v',),
        },
    ).train()
    inputs, samples = batch()
    if make is toy.segmentation:
        set_mapping(model, [-1] + [i % 3 for i in range(26)])
        samples = [SegDataSample() for _ in samples]
        for i, sample in enumerate(samples):
            sample.set_metainfo(dict(guidance_label=i + 1))
            sample.gt_sem_seg = PixelData(data=torch.full((1, 32, 32), i + 1))
    else:
        set_mapping(model)
    before = {n: p.clone() for n, p in model.named_parameters()}
    losses = model.loss(inputs, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None, name
            assert name.startswith('backbone.')
            assert '.prompts.' not in name
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    for name, parameter in model.named_parameters():
        changed = not torch.equal(parameter, before[name])
        assert changed == parameter.requires_grad, name


def test_guidance_pulls_a_prompt_towards_its_class():
    """Steps on the guidance loss alone raise the similarity it measures."""
    model = build(toy.classification).train()
    set_mapping(model)
    inputs, samples = batch()
    optimizer = torch.optim.SGD(model.backbone.prompts.parameters(), lr=1.0)
    values = []
    for _ in range(8):
        losses = model.loss(inputs, samples)
        loss = losses['loss_guidance_token'] + losses['loss_guidance_cls']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize(
    'layers, counts, expected',
    [
        ((-1,), (3, 3, 3), [2]),
        ((0, 2), (3, 0, 3), [0, 2]),
        ((2, 1), (1, 3, 3), [1, 2]),
    ],
)
def test_resolve_guided_layers(layers, counts, expected):
    assert resolve_guided_layers(layers, counts) == expected


@pytest.mark.parametrize(
    'layers, counts, message',
    [
        ((), (3, 3), 'guided_layers'),
        ((2,), (3, 3), '0 to 1'),
        ((1, -1), (3, 3), 'each once'),
        ((0,), (0, 3), 'at least one'),
        ((0, 1), (2, 3), 'same number'),
    ],
)
def test_invalid_guided_layers(layers, counts, message):
    with pytest.raises((ValueError, TypeError), match=message):
        resolve_guided_layers(layers, counts)


@pytest.mark.parametrize(
    'make, changes, message',
    [
        (
            toy.classification,
            {
                'model.backbone': dict(
                    type='VisionTransformer',
                    arch=toy.ARCH,
                    img_size=32,
                    patch_size=8,
                )
            },
            'should be a DAVPTVisionTransformer or a DAVPTTimmViT, but',
        ),
        (toy.classification, {'model.guidance.normalize': 'x'}, 'normalize'),
        (
            toy.classification,
            {'model.guidance.normalise': 'l2'},
            "unexpected keyword argument 'normalise'",
        ),
        (
            toy.segmentation,
            {'model.guidance.background_class': 27},
            'one of the 27 classes',
        ),
        (
            toy.classification,
            {
                'model.train_cfg': dict(
                    augments=[dict(type='Mixup', alpha=0.8)]
                )
            },
            'mixes images',
        ),
    ],
)
def test_invalid_guidance(make, changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(make, changes)


def test_loss_in_eval_mode_neither_guides_nor_observes():
    """A hook that computes a validation loss must not change the state."""
    model = build(toy.classification).eval()
    set_mapping(model)
    losses = model.loss(*batch())
    assert set(losses) == {'loss'}
    assert model.guidance.new_counts.sum() == 0


def test_guidance_has_a_default_loss():
    model = build(toy.classification, {'model.guidance': dict()})
    assert model.guidance.guided_layers == (1,)
    assert 'saliency' in model.guidance.loss.required_tokens


def test_missing_labels_are_rejected():
    inputs, _ = batch(2)
    classifier = build(toy.classification)
    with pytest.raises(ValueError, match='exactly one `gt_label`'):
        classifier.draw_labels([DataSample(), DataSample()], 0)
    segmentor = build(toy.segmentation).train()
    with pytest.raises(ValueError, match='has no annotation'):
        segmentor.loss(inputs, [SegDataSample(), SegDataSample()])


def test_models_are_reachable_from_both_scopes():
    for scope in ('mmseg', 'mmpretrain'):
        init_default_scope(scope)
        import mmpretrain.registry
        import mmseg.registry

        for registry in (mmseg.registry.MODELS, mmpretrain.registry.MODELS):
            assert (
                registry.get('mmdavpt.DAVPTEncoderDecoder')
                is DAVPTEncoderDecoder
            )
            assert (
                registry.get('mmdavpt.DAVPTImageClassifier')
                is DAVPTImageClassifier
            )


def two_layers(**kwargs):
    """A guidance of two layers with a mapping."""
    state = guidance(guided_layers=(0, 1), **kwargs)
    state.set_mapping(MappingResult(np.array([1, 0, 0, -1]), np.zeros((2, 3))))
    return state


def tokens_of(seed, num=3):
    """Tokens of a batch, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return BackboneTokens(
        None,
        {
            layer: dict(
                saliency=draw(num, 3),
                cls_query=draw(num, 3),
                prompt_query=torch.tensor(
                    [[1.0, 2, 3], [3, -1, layer]], dtype=torch.float64
                ),
            )
            for layer in (0, 1)
        },
    )


@pytest.mark.parametrize('gather', [False, True])
def test_gathering_on_one_process_changes_nothing(gather):
    losses = two_layers(gather=gather)(tokens_of(0), torch.tensor([0, 1, 2]))
    expected = two_layers()(tokens_of(0), torch.tensor([0, 1, 2]))
    for name, value in losses.items():
        assert torch.equal(value, expected[name])
