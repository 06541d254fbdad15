"""The commands of the guides run as printed, one after another."""

import shutil
from pathlib import Path

import pytest

from mmdavpt.cli.__main__ import main

from .test_api.tiny_timm import use_tiny_models
from .test_cli.test_folder_config import write_photos, write_scenes
from .test_docs_commands import ROOT, commands

#: They train by the folder `birds` or `scenes`, one after the other.
GUIDES = 'README classification segmentation deployment analysis'.split()
#: On models, images and schedules that are small.
SMALL = ['--epochs', '1', '--size', '56', '--batch', '2']
#: Other tests run these, in processes that would load a published model.
ELSEWHERE = {'dist_train', 'make'}


def small(words):
    """Return the arguments of a command that takes seconds."""
    words = [w.replace('epoch_100', 'epoch_1') for w in words]
    if words[0] != 'train' or words[1].endswith('.py'):
        return words
    if '--arch' in words:  # tiny models have one size
        at = words.index('--arch')
        words = words[:at] + words[at + 2 :]
    return words + SMALL


def printed(guide):
    """Return the commands of a guide, without templates such as CONFIG."""
    page = ROOT / ('' if guide == 'README' else 'docs') / f'{guide}.md'
    found = []
    for line, words in commands(page.read_text(encoding='utf-8')):
        if words[0] == 'mmdavpt' and 'CONFIG' not in words:
            found.append((line, words[1:]))
    return [(line, w) for line, w in found if w[0] not in ELSEWHERE]


@pytest.mark.slow
def test_commands_of_the_guides_run(tmp_path, monkeypatch):
    use_tiny_models(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_photos(Path('birds'))
    write_scenes(Path('scenes'))
    for folder in ('photos', 'more/photos'):
        shutil.copytree('birds/red', folder)
        Path(folder, '0.JPG').rename(Path(folder, 'a.jpg'))
    seen = set()
    for line, words in [x for guide in GUIDES for x in printed(guide)]:
        if words[:2] == ['predict', '--tasks']:
            shutil.copy('birds.safetensors', 'cars.safetensors')
        print(line)
        assert not main(small(words)), line
        seen.add(words[0])
    assert seen >= {'check', 'train', 'test', 'predict', 'report', 'export'}
    assert Path('report.html').stat().st_size > 10_000
