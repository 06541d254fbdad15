"""Properties of every source, on tiny datasets in the original layout."""

import pickle
from pathlib import Path

import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import (
    DOWNLOADS,
    SOURCES,
)

from .archives import WRITERS

TASKS = sorted(SOURCES)


@pytest.fixture(scope='module')
def folder_of(tmp_path_factory):
    """Return a function that writes the download of a task."""

    def folder_of(task):
        if task == 'patch_camelyon':
            pytest.importorskip('h5py')
        root = tmp_path_factory.mktemp(task)
        WRITERS[task][0](str(root))
        return str(root)

    return folder_of


def test_every_task_has_a_source_and_a_download():
    assert len(SOURCES) == 19
    assert set(SOURCES) == set(DOWNLOADS) == set(WRITERS)


@pytest.mark.parametrize('task', TASKS)
def test_docs_list_downloads(task):
    path = Path(__file__).parents[4] / 'docs/data.md'
    (row,) = [
        line
        for line in path.read_text(encoding='utf-8').splitlines()
        if line.startswith('|')
        and f'`{task}`' in line.split('|')[1]
        and 'http' in line
    ]
    assert f'<{DOWNLOADS[task].url}>' in row


@pytest.mark.parametrize('task', TASKS)
def test_examples(task, folder_of):
    splits = SOURCES[task](folder_of(task))
    assert 'train' in splits
    for examples in splits.values():
        keys = [example.key for example in examples]
        assert examples and len(set(keys)) == len(keys)
        assert {type(key) for key in keys} in ({str}, {int})
        for example in examples:
            assert type(example.label) is int
            assert 0 <= example.label < WRITERS[task][1]
        # Other processes open the images.
        image = pickle.loads(pickle.dumps(examples[-1].read))()
        assert isinstance(image, Image.Image) and image.mode == 'RGB'


@pytest.mark.parametrize('task', TASKS)
def test_report_empty_folder(task, tmp_path):
    if task == 'patch_camelyon':
        pytest.importorskip('h5py')
    with pytest.raises(UsageError) as caught:
        SOURCES[task](str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path) in message and DOWNLOADS[task].title in message
    if task != 'sun397':  # It asks for the lists first, see its own test.
        assert DOWNLOADS[task].url in message


@pytest.mark.parametrize(
    'task, inner',
    [
        ('dtd', 'dtd'),
        ('eurosat', 'EuroSAT_RGB'),
        ('clevr_count', 'CLEVR_v1.0'),
    ],
)
def test_accept_folder_in_the_archive(task, inner, folder_of):
    root = folder_of(task)
    expected = SOURCES[task](root)['train']
    found = SOURCES[task](f'{root}/{inner}')['train']
    assert [e[:2] for e in found] == [e[:2] for e in expected]
