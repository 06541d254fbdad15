"""The notebooks run as they are, offline, and are stored without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
#: What a notebook computes, and the least percentage that it must reach.
GOALS = dict(
    classification_folder=('accuracy', 70), segmentation_masks=('miou', 10)
)


def cells_of(path):
    return json.loads(path.read_text(encoding='utf-8'))['cells']


def program_of(path):
    """Return the code cells as a program."""
    cells = [c for c in cells_of(path) if c['cell_type'] == 'code']
    return '\n'.join(''.join(cell['source']) for cell in cells)


def test_both_are_found():
    assert [path.stem for path in NOTEBOOKS] == sorted(GOALS)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_have_no_outputs(path):
    for cell in cells_of(path):
        if cell['cell_type'] == 'code':
            assert cell['outputs'] == [] and cell['execution_count'] is None
        assert not cell['metadata']


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_run(path, tmp_path):
    name, goal = GOALS[path.stem]
    program = f'{program_of(path)}\nassert 100 * {name} >= {goal}, {name}'
    env = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        HF_HUB_OFFLINE='1',
        TMPDIR=str(tmp_path),
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-'],
        input=program,
        cwd=path.parent,
        env=env,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
