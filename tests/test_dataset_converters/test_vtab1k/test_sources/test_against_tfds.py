"""The sources against the builders of TensorFlow Datasets, where installed.

Both read the same tiny downloads and must agree on splits, keys, labels (where
the builder makes them) and pixels.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives

tfds = pytest.importorskip('tensorflow_datasets')
tf = pytest.importorskip('tensorflow')


class Downloads:
    """Stands for the download manager: everything is there, unpacked."""

    def __init__(self, root, paths=None):
        self.manual_dir = root
        self.root = Path(root)
        self.paths = paths

    def download_and_extract(self, urls):
        return self.paths if self.paths is not None else self.root

    download = download_and_extract

    def extract(self, path):
        return os.path.dirname(path)

    def iter_archive(self, folder):
        folder = getattr(folder, 'path', folder)
        for top, _, files in sorted(os.walk(folder)):
            for name in sorted(files):
                path = os.path.join(top, name)
                with open(path, 'rb') as file:
                    yield os.path.relpath(path, folder), file


def generated(builder, downloads, splits):
    """Return {split: {key: features as they are read back}}."""
    generators = builder._split_generators(downloads)
    if isinstance(generators, list):
        generators = {
            item.name: builder._generate_examples(**item.gen_kwargs)
            for item in generators
            if item.name in splits
        }
    features = builder.info.features
    image = features['image']
    found = {}
    for split in splits:
        found[split] = {}
        for key, record in generators[split]:
            content = image.encode_example(record['image'])
            label = record.get('label')
            if label is not None:
                label = features['label'].encode_example(label)
            key = key.decode() if isinstance(key, bytes) else key
            found[split][key] = (label, content, record)
    return found


def decoded(content):
    """Decode as TensorFlow does, with its accurate form of JPEG.

    Its fast form, which is the default there, differs by a few levels.
    """
    if content[:2] == b'\xff\xd8':
        image = tf.io.decode_jpeg(content, 3, dct_method='INTEGER_ACCURATE')
    else:
        image = tf.io.decode_image(content, 3, expand_animations=False)
    return image.numpy()


def compare(task, root, builder, downloads, scale=1):
    """Check keys, labels and pixels, and return the builder's dataset."""
    splits = SOURCES[task](root)
    found = generated(builder, downloads, list(splits))
    for split, examples in splits.items():
        assert {e.key for e in examples} == set(found[split])
        for example in examples:
            label, content, _ = found[split][example.key]
            assert label is None or example.label == label
            expected = decoded(content) * np.uint8(scale)
            assert np.array_equal(example.read(), expected), example.key
    return splits, found


def builder_of(name, tmp_path, **kwargs):
    return tfds.builder_cls(name)(data_dir=str(tmp_path / 'out'), **kwargs)


def test_caltech101(tmp_path, monkeypatch):
    builder = builder_of('caltech101', tmp_path)
    names = builder.info.features['label'].names
    names = [
        {'background_google': 'BACKGROUND_Google', 'faces': 'Faces'}.get(n, n)
        for n in names
    ]
    archives.caltech101(str(tmp_path), names)
    listdir = tf.io.gfile.listdir

    def visible(folder):
        names = [name.rstrip('/') for name in listdir(folder)]
        return sorted(name for name in names if name[0] != '.')

    # The order of the file system, and stray files, would decide otherwise.
    monkeypatch.setattr(tf.io.gfile, 'listdir', visible)
    monkeypatch.setattr(
        tf.io.gfile,
        'walk',
        lambda top: [
            (top, [], [n for n in visible(top) if n.endswith('.jpg')])
        ],
    )
    compare('caltech101', str(tmp_path), builder, Downloads(tmp_path))


def test_cifar(tmp_path):
    archives.cifar_binary(str(tmp_path))
    for name in ('coarse', 'fine'):
        count = {'coarse': 20, 'fine': 100}[name]
        archives.write(
            f'{tmp_path}/cifar-100-binary/{name}_label_names.txt',
            '\n'.join(map(str, range(count))),
        )
    builder = builder_of('cifar100', tmp_path)
    compare('cifar', str(tmp_path), builder, Downloads(str(tmp_path)))


def test_dtd(tmp_path):
    builder = builder_of('dtd', tmp_path)
    names = builder.info.features['label'].names
    archives.dtd(str(tmp_path), names)
    compare('dtd', str(tmp_path), builder, Downloads(tmp_path))


def test_eurosat(tmp_path):
    archives.eurosat(str(tmp_path), '2750')
    os.remove(tmp_path / '2750/.DS_Store')
    builder = builder_of('eurosat', tmp_path, config='rgb')
    compare('eurosat', str(tmp_path), builder, Downloads(tmp_path))


def test_resisc45(tmp_path):
    builder = builder_of('resisc45', tmp_path)
    archives.resisc45(str(tmp_path), builder.info.features['label'].names)
    compare('resisc45', str(tmp_path), builder, Downloads(str(tmp_path)))


def test_oxford_flowers102(tmp_path):
    archives.oxford_flowers102(str(tmp_path))
    paths = dict(
        images=str(tmp_path),
        labels=str(tmp_path / 'imagelabels.mat'),
        setid=str(tmp_path / 'setid.mat'),
    )
    builder = builder_of('oxford_flowers102', tmp_path)
    compare('oxford_flowers102', str(tmp_path), builder, Downloads('', paths))


def test_oxford_iiit_pet(tmp_path):
    archives.oxford_iiit_pet(str(tmp_path))
    # The builder compresses the files that it calls corrupt once more.
    for split in ('trainval', 'test'):
        path = tmp_path / f'annotations/{split}.txt'
        text = path.read_text()
        for name in ('Abyssinian_34', 'beagle_116', 'Egyptian_Mau_14'):
            text = text.replace(f'{name} ', f'{name}0 ')
            if (tmp_path / f'images/{name}.jpg').exists():
                os.rename(
                    tmp_path / f'images/{name}.jpg',
                    tmp_path / f'images/{name}0.jpg',
                )
        path.write_text(text)
    paths = dict(images=str(tmp_path), annotations=str(tmp_path))
    builder = builder_of('oxford_iiit_pet', tmp_path)
    compare('oxford_iiit_pet', str(tmp_path), builder, Downloads('', paths))


def test_svhn(tmp_path):
    archives.svhn(str(tmp_path))
    paths = {
        split: str(tmp_path / f'{split}_32x32.mat')
        for split in ('train', 'test', 'extra')
    }
    builder = builder_of('svhn_cropped', tmp_path)
    compare('svhn', str(tmp_path), builder, Downloads('', paths))


def test_sun397(tmp_path):
    lists = {
        name: str(tmp_path / f'sun397_tfds_{name}.txt')
        for name in ('tr', 'va', 'te')
    }
    builder = builder_of(
        'sun397', tmp_path, config='tfds', tfds_split_files=lists
    )
    scenes = builder.info.features['label'].names
    archives.sun397(str(tmp_path / 'in'), scenes)
    for path in lists.values():
        os.rename(tmp_path / 'in' / os.path.basename(path), path)
        os.symlink(path, tmp_path / 'in' / os.path.basename(path))
    # An older OpenCV leaves GIF to TensorFlow, whose channels the builder
    # then mistakes; here no image is one.
    gif = tmp_path / 'in/SUN397/c/church/outdoor/sun_test.jpg'
    gif.write_bytes(archives.encoded(3, form='BMP'))
    paths = dict(images=str(tmp_path / 'in'), partitions='')
    compare('sun397', str(tmp_path / 'in'), builder, Downloads('', paths))


def test_patch_camelyon(tmp_path):
    pytest.importorskip('h5py')
    archives.patch_camelyon(str(tmp_path))
    paths = {
        f'{split}_{kind}': str(
            tmp_path / f'camelyonpatch_level_2_split_{split}_{kind}.h5'
        )
        for split in ('train', 'valid', 'test')
        for kind in 'xy'
    }
    builder = builder_of('patch_camelyon', tmp_path)
    compare('patch_camelyon', str(tmp_path), builder, Downloads('', paths))


def test_diabetic_retinopathy(tmp_path):
    archives.diabetic_retinopathy(str(tmp_path))
    builder = builder_of(
        'diabetic_retinopathy_detection', tmp_path, config='btgraham-300'
    )
    downloads = Downloads(str(tmp_path))
    compare('diabetic_retinopathy', str(tmp_path), builder, downloads)


def test_clevr(tmp_path):
    archives.clevr(str(tmp_path))
    builder = builder_of('clevr', tmp_path)
    splits, found = compare(
        'clevr_count', str(tmp_path), builder, Downloads(str(tmp_path))
    )
    for example in splits['train']:
        objects = found['train'][example.key][2]['objects']
        assert example.label == len(objects) - 3


def test_kitti(tmp_path):
    archives.kitti(str(tmp_path / 'in'))
    os.makedirs(tmp_path / 'dev')
    os.rename(tmp_path / 'in/mapping', tmp_path / 'dev/mapping')
    folder = str(tmp_path / 'in')
    paths = dict(images=folder, annotations=folder)
    paths['devkit'] = str(tmp_path / 'dev')
    builder = builder_of('kitti', tmp_path)
    os.symlink(tmp_path / 'dev/mapping', tmp_path / 'in/mapping')
    compare('kitti', folder, builder, Downloads('', paths))


def test_dsprites(tmp_path):
    h5py = pytest.importorskip('h5py')
    archives.dsprites(str(tmp_path))
    images, classes = archives.dsprites_arrays()
    path = str(tmp_path / 'dsprites.hdf5')
    with h5py.File(path, 'w') as file:
        file['imgs'] = images
        file['latents/classes'] = classes
        file['latents/values'] = classes.astype(float)
    builder = builder_of('dsprites', tmp_path)
    splits, found = compare(
        'dsprites_ori', str(tmp_path), builder, Downloads('', path), 255
    )
    for example in splits['train']:
        record = found['train'][example.key][2]
        assert example.label == int(record['label_orientation'] / 2.5)


@pytest.mark.parametrize(
    'task, factor',
    [
        ('smallnorb_azi', 'label_azimuth'),
        ('smallnorb_ele', 'label_elevation'),
    ],
)
def test_smallnorb(task, factor, tmp_path):
    archives.smallnorb(str(tmp_path))
    paths = {}
    for path in tmp_path.glob('*.mat'):
        *_, split, kind = path.stem.split('-')
        paths[f'{split}_{kind}'] = str(path)
    builder = builder_of('smallnorb', tmp_path)
    splits, found = compare(task, str(tmp_path), builder, Downloads('', paths))
    for split, examples in splits.items():
        for example in examples:
            record = found[split][example.key][2]
            assert example.label == record[factor]


def test_dmlab(tmp_path):
    archives.dmlab(str(tmp_path))
    builder = builder_of('dmlab', tmp_path)
    # Frames have 360 x 480 pixels there, which the images here need not have.
    builder.info.features['image']._image_encoder._shape = (36, 48, 3)
    compare('dmlab', str(tmp_path), builder, Downloads(str(tmp_path)))
