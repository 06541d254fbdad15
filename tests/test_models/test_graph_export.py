"""Trained models export to a graph that runs without this package."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdavpt.registry import MODELS

from .. import toy


@pytest.mark.parametrize('task', [toy.classification, toy.segmentation])
@pytest.mark.parametrize('bias', [(), ('k', 'v')])
def test_a_graph_takes_batches_of_any_size(tmp_path, task, bias):
    cfg = Config(task(tmp_path, {'model.backbone.bias': bias}))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    size = model.backbone.patch_embed.init_input_size
    # Not `len` of a tensor anywhere: it makes its size a constant.
    images = torch.randn(5, 3, *size)
    program = torch.export.export(
        model,
        (images[:2],),
        dynamic_shapes=({0: torch.export.Dim('batch')},),
    )
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), model(images))
