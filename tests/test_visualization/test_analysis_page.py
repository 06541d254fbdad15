"""The example of docs/analysis.md runs as printed."""

import re
from pathlib import Path

import numpy as np
import torch

from mmdavpt.registry import MODELS

from ..toy import classification

PAGE = Path(__file__).parents[2] / 'docs' / 'analysis.md'


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = MODELS.build(classification(tmp_path)['model']).eval()
    model.guidance.mapping[:] = torch.tensor([0, 1, 2, 0, 1, 2])
    (code,) = re.findall('```python\n(.*?)```', PAGE.read_text(), re.S)
    given = dict(
        model=model,
        images=torch.randn(2, 3, 32, 32),
        labels=torch.tensor([4, 0]),
        pictures=[np.zeros((32, 32, 3), np.uint8)] * 2,
    )
    exec(code, given)
    assert (tmp_path / 'attention.png').stat().st_size > 1000
    assert capsys.readouterr().out.startswith('tensor([')
    assert [len(column) for column in given['maps'].values()] == [2] * 4
    expected = given['layer_attention'](model.backbone, given['images'], -1, 1)
    np.testing.assert_allclose(
        given['maps']['prompt of the class'][0],
        expected.patches[0].mean(0),
        atol=1e-6,
    )
