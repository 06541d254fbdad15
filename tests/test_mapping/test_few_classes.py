"""Fewer classes than prompts (A.3): the extra prompts are not guided."""

import pytest
import torch

from mmdavpt.models import PromptGuidance
from mmdavpt.models.backbones import BackboneTokens

from .. import toy

NUM_PROMPTS, CHANNELS, BATCH, PATCHES = 10, 8, 12, 4
FEW = pytest.mark.parametrize('num_classes', [2, 4, 5])
LOSSES = {
    'paper': dict(),
    'released': dict(preset='released'),
    'proxy_nca': dict(metric=dict(type='ProxyNCA')),
    'triplet': dict(metric=dict(type='Triplet', margin=2.0)),
}


def guidance_of(num_classes, num_prompts=NUM_PROMPTS, **kwargs):
    """Return guidance with the first mapping of random features."""
    loss = dict(type='mmdavpt.DAVPTLoss', **kwargs.pop('loss', {}))
    guidance = PromptGuidance(
        num_classes, num_prompts, CHANNELS, (1,), loss, **kwargs
    )
    generator = torch.Generator().manual_seed(0)
    guidance.observe(
        torch.randn(num_classes, CHANNELS, generator=generator),
        torch.arange(num_classes),
    )
    guidance.recluster()
    return guidance


def tokens_of(guidance, prompts):
    """Return random tokens of all names that the loss asks for."""
    generator = torch.Generator().manual_seed(1)
    tokens = {}
    for name in sorted(guidance.loss.required_tokens):
        shape = (BATCH, CHANNELS)
        if name.startswith('patch_'):
            shape = (BATCH, PATCHES, CHANNELS)
        tokens[name] = torch.randn(shape, generator=generator)
        if name.startswith('prompt_'):
            tokens[name] = prompts
    return BackboneTokens(None, {1: tokens})


@FEW
def test_one_prompt_per_class_and_the_others_unassigned(num_classes):
    guidance = guidance_of(num_classes)
    assert guidance.mapping.tolist() == list(range(num_classes))
    assert guidance.centroids[:num_classes].any(dim=1).all()
    assert not guidance.centroids[num_classes:].any()
    # A warm start, from centroids of which some are zero.
    guidance.seed = 1
    result = guidance.cluster()
    assert result.mapping.tolist() == list(range(num_classes))
    assert result.sizes.tolist() == [1] * num_classes + [0] * (
        NUM_PROMPTS - num_classes
    )


@FEW
def test_the_background_takes_no_prompt(num_classes):
    guidance = guidance_of(num_classes + 1, background_class=1)
    mapping = guidance.mapping.tolist()
    assert mapping[1] == -1
    assert mapping[:1] + mapping[2:] == list(range(num_classes))


@FEW
@pytest.mark.parametrize('name', LOSSES)
def test_unassigned_prompts_have_no_term_and_no_gradient(num_classes, name):
    generator = torch.Generator().manual_seed(2)
    prompts = torch.randn(NUM_PROMPTS, CHANNELS, generator=generator)
    labels = torch.arange(BATCH) % num_classes
    guidance = guidance_of(num_classes, loss=LOSSES[name])

    def losses(guidance, prompts):
        return guidance(tokens_of(guidance, prompts), labels)

    leaf = prompts.clone().requires_grad_()
    terms = losses(guidance, leaf)
    assert all(term > 0 for term in terms.values())
    sum(terms.values()).backward()
    assert leaf.grad[:num_classes].any(dim=1).all()
    assert not leaf.grad[num_classes:].any()
    # As if there were as many prompts as classes, whatever the others are.
    exact = guidance_of(num_classes, num_classes, loss=LOSSES[name])
    others = prompts.clone()
    others[num_classes:] = 100 - others[num_classes:]
    for term, value in terms.items():
        alone = losses(exact, prompts[:num_classes])[term]
        torch.testing.assert_close(alone, value.detach())
        changed = losses(guidance, others)[term]
        torch.testing.assert_close(changed, value.detach())


@FEW
def test_training_guides_the_prompts_of_classes_only(
    runner_from, tmp_path, num_classes
):
    chars = toy.CHARS[:num_classes]
    changes = {
        'model.head.num_classes': num_classes,
        'model.data_preprocessor.num_classes': num_classes,
        'model.backbone.num_prompts': NUM_PROMPTS,
        'train_dataloader.dataset.chars': chars,
        'val_dataloader.dataset.chars': chars,
        'train_cfg.max_epochs': 1,
    }
    runner = runner_from(toy.classification(tmp_path, changes))
    runner.train()
    model = runner.model
    assert model.guidance.mapping.tolist() == list(range(num_classes))
    batch = next(iter(runner.train_dataloader))
    data = model.data_preprocessor(batch, training=True)
    model.train().zero_grad()
    losses = model.loss(**data)
    guided = [losses[name] for name in losses if 'guidance' in name]
    assert len(guided) == 2 and all(term > 0 for term in guided)
    sum(guided).backward()
    gradient = model.backbone.prompts['1'].grad
    assert gradient.shape == (NUM_PROMPTS, toy.ARCH['embed_dims'])
    assert gradient[:num_classes].any(dim=1).all()
    assert not gradient[num_classes:].any()
    # They still learn from the classification loss.
    model.zero_grad()
    model.loss(**data)['loss_head'].backward()
    assert model.backbone.prompts['1'].grad.any(dim=1).all()
