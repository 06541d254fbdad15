"""The shell scripts pass on their arguments."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.mark.parametrize(
    'name, given, expected, options',
    [
        (
            'dist_train',
            ['c f.py', '2'],
            ['c f.py', '--launcher', 'pytorch'],
            {'--nproc_per_node=2'},
        ),
        (
            'dist_test',
            ['c f.py', 'k.pth', '2'],
            ['c f.py', 'k.pth', '--launcher', 'pytorch'],
            {'--nproc_per_node=2'},
        ),
        (
            'slurm_train',
            ['part', 'job', 'c f.py'],
            ['c f.py', '--launcher', 'slurm'],
            {'--partition=part', '--job-name=job', '--ntasks=6', '--quiet'},
        ),
        (
            'slurm_test',
            ['part', 'job', 'c f.py', 'k.pth'],
            ['c f.py', 'k.pth', '--launcher', 'slurm'],
            {'--ntasks=6', '--quiet', '--exclusive'},
        ),
    ],
)
def test_scripts_pass_arguments(name, given, expected, options, tmp_path):
    script = TOOLS / f'{name}.sh'
    assert script.stat().st_mode & stat.S_IXUSR
    usage = subprocess.run(
        [script, *given[:-1]], capture_output=True, text=True
    )
    assert usage.returncode == 2
    assert usage.stderr.startswith(f'usage: {script.name} ')

    for program in ('fake', 'srun'):
        (tmp_path / program).write_text(
            '#!/bin/sh\nfor word; do echo "$word"; done\n'
        )
        (tmp_path / program).chmod(0o755)
    more = ['--cfg-options', 'a="x y"']
    done = subprocess.run(
        [script, *given, *more],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,  # from any folder
        env={
            **os.environ,
            'PATH': f'{tmp_path}:{os.environ["PATH"]}',
            'PYTHON': str(tmp_path / 'fake'),
            'GPUS': '6',
            'SRUN_ARGS': '--quiet --exclusive',
        },
    )
    words = done.stdout.splitlines()
    tool = words.index(str(TOOLS / f'{name.split("_")[1]}.py'))
    # Words with spaces stay whole.
    assert words[tool + 1 :] == [*expected, *more]
    assert options <= set(words)
