"""tools/model_converters/convert_weights.py."""

import pytest
import torch

from mmdavpt.models.pretrained import read_checkpoint
from tools.model_converters import convert_weights

from . import foreign
from .test_families import assert_same_features, images, load_here


def test_load_converted_file(tmp_path, capsys):
    state, reference, here = foreign.dinov2()
    state['head.weight'] = torch.zeros(1)
    torch.save(state, tmp_path / 'dinov2.pth')
    out = tmp_path / 'new' / 'vit.safetensors'
    convert_weights.main([str(tmp_path / 'dinov2.pth'), str(out)])
    line = capsys.readouterr().out
    assert 'weights of timm (DINOv2)' in line
    assert 'skipped 1 keys' in line
    assert_same_features(load_here(out, here), reference, images())
    assert read_checkpoint(str(out)).normalization.mean == (
        123.675,
        116.28,
        103.53,
    )
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_report_user_errors(tmp_path, capsys):
    state = foreign.plain()[0]
    torch.save(dict(state, reg_token=torch.zeros(1)), tmp_path / 'vit.pth')
    for source, out, expected in (
        ('vit.pth', 'a.safetensors', 'VisionTransformer lacks parts of'),
        ('none.pth', 'a.safetensors', 'none.pth does not exist'),
        ('vit.pth', 'a.pth', 'OUT should end in .safetensors'),
    ):
        with pytest.raises(SystemExit) as stop:
            convert_weights.main([str(tmp_path / source), str(tmp_path / out)])
        assert stop.value.code == 2
        assert expected in capsys.readouterr().err
    assert not (tmp_path / 'a.safetensors').exists()
