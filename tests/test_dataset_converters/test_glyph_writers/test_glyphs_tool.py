"""tools/dataset_converters/glyphs.py."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mmdavpt.datasets import FGVC, GlyphSceneDataset
from mmdavpt.datasets.vtab1k import VTAB1k
from mmdavpt.errors import UsageError

from .test_pascal_context import read as read_pascal_context
from .test_scenes import read as read_ade20k

PATH = Path(__file__).parents[3] / 'tools' / 'dataset_converters' / 'glyphs.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('glyphs_tool', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    'layout, read, splits',
    [
        ('ade20k', read_ade20k, ('training', 'validation')),
        ('pascal_context', read_pascal_context, ('train', 'val')),
    ],
)
def test_scenes(tool, tmp_path, capsys, layout, read, splits):
    arguments = [layout, str(tmp_path), '--train', '2', '--val', '1']
    arguments += ['--height', '32', '--width', '40', '--seed', '3']
    arguments += ['--style', 'rough']
    tool.main(arguments)
    out = capsys.readouterr().out
    assert f'{splits[0]}: 2 images drawn, 0 existed' in out
    assert f'data_root={str(tmp_path)!r} and type=' in out
    tool.main(arguments)
    out = capsys.readouterr().out
    assert f'{splits[0]}: 0 images drawn, 2 existed' in out
    assert f'{splits[1]}: 0 images drawn, 1 existed' in out
    # Other seeds, or both splits would show the same scenes in other faces.
    recorded = json.loads((tmp_path / 'glyph_scenes.json').read_text())
    assert [recorded[split]['seed'] for split in splits] == [3, 4]
    assert len(read(tmp_path, splits[0])) == 2
    drawn = GlyphSceneDataset(
        'latin_test', 1, seed=4, size=(32, 40), style='rough'
    )
    found = read(tmp_path, splits[1])[0]['gt_seg_map']
    assert np.array_equal(found, drawn[0]['gt_seg_map'])


def test_fgvc(tool, tmp_path, capsys):
    arguments = ['fgvc', str(tmp_path), '--name', 'FLOWERS102', '--size', '16']
    arguments += ['--scale', '0.001', '--test', '4', '--seed', '2']
    tool.main(arguments)
    out = capsys.readouterr().out
    assert 'train: 102 images drawn, 0 existed' in out
    assert 'test: 4 images drawn, 0 existed' in out
    assert f'data_root={str(tmp_path)!r} and ' in out
    assert "type='mmdavpt.FGVC', name='flowers', check_size=False." in out
    assert len(FGVC('flowers', 'test', str(tmp_path), check_size=False)) == 4
    recorded = json.loads((tmp_path / 'glyphs.json').read_text())
    assert [recorded[s]['seed'] for s in recorded] == [2, 3, 4]
    with pytest.raises(UsageError, match="but got 'birds'"):
        tool.main(['fgvc', str(tmp_path), '--name', 'birds'])


def test_vtab1k(tool, tmp_path, capsys):
    arguments = ['vtab1k', str(tmp_path), '--size', '16', '--seed', '2']
    tool.main([*arguments, '--test', '5', '--task', 'dspr_loc'])
    out = capsys.readouterr().out
    assert 'train800val200: 1000 images drawn, 0 existed' in out
    assert 'test: 5 images drawn, 0 existed' in out
    assert "type='mmdavpt.VTAB1k', task='dsprites_loc', check_size" in out
    task = VTAB1k('dspr_loc', 'val200', str(tmp_path))
    assert set(task.get_gt_labels()) == set(range(16))
    with pytest.raises(UsageError, match="but got 'birds'"):
        tool.main([*arguments, '--task', 'birds'])


def test_require_layout(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['data/glyphs'])
    assert 'invalid choice' in capsys.readouterr().err
