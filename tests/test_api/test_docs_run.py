"""The blocks of docs/api.md run as printed, on tiny models and images."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from .tiny_timm import use_tiny_models

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/api.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE, re.S)
#: Those of accelerate and Lightning, which test_frameworks.py runs.
FRAMEWORKS = [b for b in BLOCKS if re.search('ccelerator|Trainer', b)]


def write_birds(folder):
    """Write three images of each of three classes."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(('crow', 'gull', 'wren')):
        (folder / name).mkdir(parents=True)
        for k in range(3):
            pixels = rng.integers(80 * i, 80 * i + 40, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f'{k}.png')


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group(
        'gloo', f'file://{tmp_path}/store', rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_blocks_run(tmp_path, monkeypatch, one_process, capsys):
    use_tiny_models(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_birds(tmp_path / 'birds/train')
    names = {}
    for block in BLOCKS:
        assert sum(bool(line) for line in block.splitlines()) <= 14
        if block in FRAMEWORKS:
            continue
        exec(block, names)
        if 'refresh_mapping()  # by' in block:
            assert names['losses']['loss'].isfinite()
    assert "dict_keys(['mask'])" in capsys.readouterr().out


def test_the_loop_of_the_readme_runs(tmp_path, monkeypatch):
    use_tiny_models(monkeypatch)
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, re.S)
    [block] = [b for b in blocks if 'create_model' in b]
    batch = torch.rand(6, 3, 224, 224), torch.arange(6) % 3
    names = dict(loader=[batch], epochs=1)
    exec(block, names)
    assert names['model'].model.guidance.initialized
