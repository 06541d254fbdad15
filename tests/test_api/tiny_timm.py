"""Models of timm with narrow layers, for tests of published names."""

import timm
import torch

from mmdavpt.models.pretrained import reading

CREATE = timm.create_model
TINY = dict(depth=5, embed_dim=16, num_heads=2)


def create(name, **kwargs):
    """Create a tiny model of a name, the same at every call."""
    kwargs.pop('pretrained', None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CREATE(name, **TINY, **kwargs)


def use_tiny_models(monkeypatch):
    """Replace published models and weights by tiny ones, until undone."""
    monkeypatch.setattr(timm, 'create_model', create)
    monkeypatch.setattr(reading, 'timm_model', create)
