"""Models of timm with narrow layers, for tests of published names."""

import timm
import torch

from mmdavpt.models.pretrained import reading

CREATE = timm.create_model
TINY = dict(depth=5, embed_dim=16, num_heads=2)


def create(name, **kwargs):
    """Create a tiny model of a name, the same at every call."""
    kwargs.pop('pretrained', None)
    model = CREATE(name, **TINY, **kwargs)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        # Layer scales of 1e-5 would hide the image from [CLS].
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def use_tiny_models(monkeypatch):
    """Replace published models and weights by tiny ones, until undone."""
    monkeypatch.setattr(timm, 'create_model', create)
    monkeypatch.setattr(reading, 'timm_model', create)
