"""The same steps on one process and on several, in float64, to compare.

Each function runs on every rank and returns the results of this rank; rank r
of R has the samples r, r + R, r + 2R, ... as samplers distribute them.
"""

from functools import partial

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdavpt.mapping import MappingResult
from mmdavpt.models import PromptGuidance
from mmdavpt.models.backbones import BackboneTokens
from mmdavpt.registry import MODELS
from tests import toy

LAYERS = (1, 2)
N, P, C, K = 3, 4, 6, 5
#: Classes of each rank's samples; -1 takes no part.
SHARES = {
    'equal': ([0, 1, 2], [3, 4, 0]),
    'last_batch': ([0, 1, 2], [3]),
    'rank_without_samples': ([0, 1, 2], []),
    'rank_without_guided_samples': ([0, 3], [-1, -1, -1]),
    'no_guided_sample': ([-1], [-1, -1]),
}
LOSSES = {
    'paper': dict(),
    'released': dict(preset='released'),
    'proxy_nca': dict(metric=dict(type='ProxyNCA'), token='patch_output'),
    'triplet': dict(metric=dict(type='Triplet', margin=0.3), cls_weight=0),
}


class TinyModel(nn.Module):
    """Every kind of token from two trained matrices and trained prompts."""

    def __init__(self, loss, **guidance):
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return nn.Parameter(torch.randn(*shape, generator=generator))

        self.prompts = nn.ParameterList([draw(P, C) for _ in LAYERS])
        self.patch_weight, self.cls_weight = draw(C, C), draw(C, C)
        self.guidance = PromptGuidance(
            num_classes=K,
            num_prompts=P,
            embed_dims=C,
            guided_layers=LAYERS,
            loss=dict(type='mmdavpt.DAVPTLoss', **loss),
            **guidance,
        )
        # Class 4 shares a prompt; prompt 3 has no class.
        self.guidance.set_mapping(
            MappingResult(np.array([0, 1, 2, 1, 0]), np.zeros((P, C)))
        )

    def forward(self, patches, cls, labels):
        targets = self.guidance.targets(labels).clamp(min=0)
        tokens = {}
        for layer, prompts in zip(LAYERS, self.prompts, strict=True):
            raw = layer * patches @ self.patch_weight
            tokens[layer] = dict(
                prompt_raw=prompts,
                prompt_query=prompts @ self.cls_weight,
                cls_query=layer * cls @ self.cls_weight,
                patch_raw=raw,
                patch_output=raw.tanh(),
                # As the real one, it depends on prompts and tokens at once.
                saliency=raw.mean(1) + prompts[targets],
            )
        return self.guidance(BackboneTokens(None, tokens), labels)


def make_samples(classes, rank):
    """Return patches, [CLS] and classes of one rank's samples."""
    generator = torch.Generator().manual_seed(rank)
    patches, cls = (
        torch.randn(len(classes), *shape, generator=generator)
        for shape in ((N, C), (C,))
    )
    return patches.double(), cls.double(), torch.tensor(classes).long()


def interleave(shares):
    """Return the samples of all ranks in the order of one process."""
    longest = max(len(share[0]) for share in shares)
    return [
        torch.stack(
            [x[i] for i in range(longest) for x in ranks if i < len(x)]
        )
        for ranks in zip(*shares, strict=True)
    ]


def wrap(model, world_size):
    """Return the model as a runner wraps it."""
    if world_size == 1:
        return model
    return DistributedDataParallel(model, broadcast_buffers=False)


def tiny_step(rank, world_size, share, loss, **guidance):
    """Return losses and gradients of a backward pass."""
    model = TinyModel(LOSSES[loss], **guidance).double()
    wrapped = wrap(model, world_size)
    shares = [
        make_samples(classes, r) for r, classes in enumerate(SHARES[share])
    ]
    losses = wrapped(
        *(interleave(shares) if world_size == 1 else shares[rank])
    )
    sum(losses.values()).backward()
    return dict(
        losses={name: value.detach() for name, value in losses.items()},
        gradients={n: p.grad for n, p in model.named_parameters()},
        state=model.guidance.state_dict(),
    )


def classifier_steps(rank, world_size, num=8, steps=3, **guidance):
    """Return the results of some steps of a whole classifier."""
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    # Weights that make the guidance visible next to the head's loss.
    loss = dict(type='mmdavpt.DAVPTLoss', token_weight=1.0, cls_weight=1.0)
    cfg = toy.classification(
        'unused',
        {
            'model.backbone.bias': ('k', 'v'),
            'model.guidance': dict(
                guided_layers=(0, 1), loss=loss, **guidance
            ),
        },
    )
    model = MODELS.build(cfg['model']).double().train()
    model.guidance.set_mapping(
        MappingResult(np.array([0, 1, 2, 0, 1, 2]), np.ones((3, 32)))
    )
    wrapped = wrap(model, world_size)
    tuned = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(tuned.values(), lr=0.05)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(num, 3, 32, 32, generator=generator).double()
        own = slice(rank, None, world_size)
        samples = [
            DataSample().set_gt_label((5 * step + i) % 6) for i in range(num)
        ]
        losses = wrapped(images[own], samples[own], mode='loss')
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    return dict(
        # The head's loss is of a rank's own images, the guidance of all.
        losses={
            name: value.detach()
            for name, value in losses.items()
            if 'guidance' in name
        },
        gradients={name: p.grad for name, p in tuned.items()},
        parameters={name: p.detach() for name, p in tuned.items()},
        state=model.guidance.state_dict(),
    )


#: Comparisons by name: functions of rank and world size.
COMPARISONS = {
    **{
        f'{share}-{loss}': partial(
            tiny_step, share=share, loss=loss, gather=True
        )
        for share in SHARES
        for loss in LOSSES
    },
    'classifier': partial(classifier_steps, gather=True),
}
#: The same without gathering: each rank sees its own samples only.
APART = {
    'equal-paper': partial(tiny_step, share='equal', loss='paper'),
    'classifier': classifier_steps,
}


def run_all(rank, world_size):
    """Return the results of all comparisons, with and without gathering."""
    return {
        name: {key: run(rank, world_size) for key, run in runs.items()}
        for name, runs in (('gathered', COMPARISONS), ('apart', APART))
    }
