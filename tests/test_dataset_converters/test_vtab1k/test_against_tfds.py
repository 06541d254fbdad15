"""Order and splits against TensorFlow Datasets, where it is installed.

It prepares tiny downloads in several files; both ways of reading must give
the images that its own slices give.
"""

import os

import numpy as np
import pytest

from mmdavpt.datasets.vtab1k import TASKS
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.splits import (
    RULES,
    describe_splits,
    in_hash_order,
    vtab1k_splits,
)
from tools.dataset_converters.vtab1k_conversion.tfds import (
    PREPARED,
    prepared_splits,
)

from .test_sources import archives

tfds = pytest.importorskip('tensorflow_datasets')
pytest.importorskip('tensorflow')

from .test_sources.test_against_tfds import Downloads  # noqa: E402


def paths_of(task, root):
    """Return the builder's downloads, see the sources' tests."""
    if task == 'dsprites_ori':
        return f'{root}/dsprites.hdf5'
    if task == 'kitti':
        return dict(images=root, annotations=root, devkit=root)
    return None


def with_box(item):
    """Let the boxes of KITTI's objects lie in an image, as tiny as it is."""
    key, record = item
    for thing in record.get('objects', []):
        if 'bbox' in thing:
            thing['bbox'] = tfds.features.BBox(0.0, 0.0, 1.0, 1.0)
    return key, record


def prepare(task, root, out, num_shards):
    """Prepare a tiny download with the builder itself."""
    prepared = PREPARED[task]
    kwargs = dict(config=prepared.config) if prepared.config else {}
    builder = tfds.builder_cls(prepared.name)(data_dir=out, **kwargs)
    generators = builder._split_generators(
        Downloads(root, paths_of(task, root))
    )
    if isinstance(generators, list):
        generators = {
            item.name: builder._generate_examples(**item.gen_kwargs)
            for item in generators
            if item.name in RULES[task].sources
        }
    generators = {s: map(with_box, found) for s, found in generators.items()}
    builder._split_generators = lambda dl_manager: generators
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            num_shards=num_shards, register_checksums=False
        )
    )
    return builder


def write_download(task, root, out):
    """Write a tiny download as sources and builders expect it."""
    if task == 'cifar':
        archives.cifar_binary(root)
        for name, count in (('coarse', 20), ('fine', 100)):
            archives.write(
                f'{root}/cifar-100-binary/{name}_label_names.txt',
                '\n'.join(map(str, range(count))),
            )
    elif task == 'dtd':
        builder = tfds.builder_cls('dtd')(data_dir=out)
        archives.dtd(root, builder.info.features['label'].names)
    elif task == 'eurosat':
        archives.eurosat(root, '2750')
        os.remove(f'{root}/2750/.DS_Store')
    elif task == 'dsprites_ori':
        archives.dsprites(root)
        images, classes = archives.dsprites_arrays()
        with pytest.importorskip('h5py').File(
            f'{root}/dsprites.hdf5', 'w'
        ) as file:
            file['imgs'] = images
            file['latents/classes'] = classes
            file['latents/values'] = classes.astype(float)
    else:
        getattr(archives, task.split('_')[0])(root)


@pytest.mark.parametrize('num_shards', [1, 3])
@pytest.mark.parametrize(
    'task', ['cifar', 'clevr_dist', 'kitti', 'dtd', 'dsprites_ori', 'eurosat']
)
def test_both_sources_equal_tfds_slices(tmp_path, task, num_shards):
    root, out = str(tmp_path / 'in'), str(tmp_path / 'out')
    (tmp_path / 'in').mkdir()
    write_download(task, root, out)
    builder = prepare(task, root, out, num_shards)
    info, stored = prepared_splits(TASKS[task], str(builder.data_dir))
    assert info == ':'.join(builder.info.full_name.rsplit('/', 1))
    original = {
        split: in_hash_order(split, examples)
        for split, examples in SOURCES[task](root).items()
    }
    for split, examples in stored.items():
        assert [e.label for e in examples] == [
            e.label for e in original[split]
        ]
        for a, b in zip(examples, original[split], strict=True):
            assert np.array_equal(a.read(), b.read())
    sizes = {split: len(examples) for split, examples in stored.items()}
    chosen = vtab1k_splits(TASKS[task], stored)
    for split, words in describe_splits(TASKS[task], sizes).items():
        images = []
        for part in words.split('+'):
            source, _, ends = part.rstrip(']').partition('[')
            start, stop = map(int, ends.split(':'))
            if start == stop:
                continue
            slices = tfds.core.ReadInstruction(
                source, from_=start, to=stop, unit='abs'
            )
            config = tfds.ReadConfig(interleave_cycle_length=1)
            data = builder.as_dataset(split=slices, read_config=config)
            images += [item['image'].numpy() for item in data]
        assert len(images) == len(chosen[split])
        for image, example in zip(images, chosen[split], strict=True):
            scaled = image.astype(int) * PREPARED[task].scale
            difference = scaled - np.asarray(example.read())
            # TensorFlow's decoder of JPEG is another one.
            assert np.abs(difference).max() <= 6
