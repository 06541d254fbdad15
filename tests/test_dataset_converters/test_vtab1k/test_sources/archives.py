"""Tiny datasets in the layout of the unpacked original downloads."""

import csv
import io
import json
import os
import pickle
import struct

import numpy as np
from PIL import Image
from scipy.io import savemat


def pixels(seed, *shape):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def encoded(seed=0, mode='RGB', form='JPEG', size=(12, 8)):
    """Return the content of an image file of some mode and format."""
    width, height = size
    image = Image.fromarray(pixels(seed, height, width, 3)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def write(path, content=b''):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    with open(path, 'wb') as file:
        file.write(content)


CALTECH_CLASSES = ['BACKGROUND_Google', 'Faces', 'Faces_easy', 'accordion']
CALTECH_CLASSES += [f'thing_{i:02d}' for i in range(98)]


def caltech101(root, names=CALTECH_CLASSES):
    """102 classes of 31 images: grey ones, a stray file, hidden things."""
    folder = f'{root}/caltech-101/101_ObjectCategories'
    content = encoded()
    for name in names:
        for index in range(1, 32):
            write(f'{folder}/{name}/image_{index:04d}.jpg', content)
    write(f'{folder}/BACKGROUND_Google/tmp')
    write(f'{folder}/accordion/.DS_Store')
    write(f'{folder}/.hidden/image_0001.jpg', content)
    write(f'{folder}/README')
    write(f'{folder}/accordion/image_0001.jpg', encoded(1, 'L'))


EUROSAT_CLASSES = (
    'AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture '
    'PermanentCrop Residential River SeaLake'
).split()


def eurosat(root, folder='EuroSAT_RGB'):
    for index, name in enumerate(EUROSAT_CLASSES):
        for number in (1, 2, 10):
            content = encoded(index + number, size=(64, 64))
            write(f'{root}/{folder}/{name}/{name}_{number}.jpg', content)
    write(f'{root}/{folder}/.DS_Store')
    write(f'{root}/__MACOSX/{folder}/Forest/._Forest_1.jpg')


RESISC_CLASSES = ['airplane', 'airport', 'railway', 'railway_station']
RESISC_CLASSES += [f'some_{i:02d}' for i in range(41)]


def resisc45(root, names=RESISC_CLASSES):
    for index, name in enumerate(names):
        content = encoded(index, size=(256, 256))
        write(f'{root}/NWPU-RESISC45/{name}/{name}_001.jpg', content)


DTD_CLASSES = [f'texture_{i:02d}' for i in range(47)]


def dtd(root, names=DTD_CLASSES):
    """47 classes, lists of ten partitions, one image of which is in CMYK."""
    for offset, split in enumerate(('train', 'val', 'test')):
        paths = [f'{name}/{name}_{offset:04d}.jpg' for name in names]
        write(f'{root}/dtd/labels/{split}1.txt', '\n'.join(paths) + '\n')
        write(f'{root}/dtd/labels/{split}2.txt', 'no/such.jpg\n')
        for path in paths:
            write(f'{root}/dtd/images/{path}', encoded(offset))
    cmyk = encoded(7, 'CMYK')
    write(f'{root}/dtd/images/{names[1]}/{names[1]}_0000.jpg', cmyk)
    write(f'{root}/dtd/labels/labels_joint_anno.txt', 'a/a.jpg a\n')


def oxford_flowers102(root):
    """Six images whose numbers are not in order of their splits."""
    for number in range(1, 7):
        write(f'{root}/jpg/image_{number:05d}.jpg', encoded(number))
    savemat(f'{root}/imagelabels.mat', {'labels': [[77, 1, 102, 5, 5, 9]]})
    splits = {'trnid': [[3, 1]], 'valid': [[6]], 'tstid': [[2, 5, 4]]}
    savemat(f'{root}/setid.mat', splits)


def oxford_iiit_pet(root):
    """Files that are GIF, PNG with an alpha channel or a palette inside."""
    lists = {
        'trainval': 'Abyssinian_34 1 1 1\nbeagle_116 5 2 4\n',
        'test': 'Egyptian_Mau_14 12 1 5\nSphynx_1 34 1 12\n',
    }
    for name, text in lists.items():
        write(f'{root}/annotations/{name}.txt', text)
    write(f'{root}/annotations/list.txt', '#Image CLASS-ID SPECIES BREED\n')
    for name, content in {
        'Abyssinian_34': encoded(1, 'P', 'GIF'),
        'beagle_116': encoded(2),
        'Egyptian_Mau_14': encoded(3, 'RGBA', 'PNG'),
        'Sphynx_1': encoded(4, 'P', 'PNG'),
        '._beagle_116': b'\0',
    }.items():
        write(f'{root}/images/{name}.jpg', content)
    write(f'{root}/images/Abyssinian_100.mat')


SUN_SCENES = ['/a/abbey', '/c/church/outdoor', '/t/track/outdoor']
SUN_SCENES += [f'/s/scene_{i:03d}' for i in range(394)]


def sun397(root, scenes=SUN_SCENES):
    """Large, grey and misnamed images, with the three lists next to them."""
    lists = {
        'tr': [f'{scene}/sun_train.jpg' for scene in scenes],
        'va': ['/a/abbey/sun_valid.jpg'],
        'te': ['/c/church/outdoor/sun_test.jpg'],
    }
    content = encoded()
    for path in sum(lists.values(), []):
        write(f'{root}/SUN397{path}', content)
    lists['tr'].append('/t/track/outdoor/sun_aophkoiosslinihb.jpg')
    for name, paths in lists.items():
        write(f'{root}/sun397_tfds_{name}.txt', '\n'.join(paths))
    large = encoded(1, size=(500, 300))
    write(f'{root}/SUN397/a/abbey/sun_train.jpg', large)
    grey = encoded(2, 'L', 'PNG')
    write(f'{root}/SUN397/a/abbey/sun_valid.jpg', grey)
    gif = encoded(3, 'P', 'GIF')
    write(f'{root}/SUN397/c/church/outdoor/sun_test.jpg', gif)
    write(f'{root}/SUN397/ClassName.txt', '/a/abbey\n')


def cifar_batch(split):
    count = {'train': 5, 'test': 3}[split]
    return dict(
        fine_labels=[(7 * i + 3) % 100 for i in range(count)],
        coarse_labels=[i % 20 for i in range(count)],
        data=pixels(count, count, 3072),
    )


def cifar_binary(root):
    for split in ('train', 'test'):
        batch = cifar_batch(split)
        labels = np.array([batch['coarse_labels'], batch['fine_labels']])
        records = np.hstack([labels.T.astype(np.uint8), batch['data']])
        path = f'{root}/cifar-100-binary/{split}.bin'
        write(path, records.tobytes())


class Python2Pickler(pickle._Pickler):
    """Writes strings and arrays as Python 2 did, in which CIFAR was made."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj):
        self.write(b'T' + struct.pack('<i', len(obj)) + obj)

    def save_str(self, obj):
        self.save_bytes(obj.encode('latin1'))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str


def python2_pickle(content):
    buffer = io.BytesIO()
    Python2Pickler(buffer, 2).dump(content)
    return buffer.getvalue().replace(
        b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n'
    )


def cifar_python(root):
    for split in ('train', 'test'):
        path = f'{root}/cifar-100-python/{split}'
        write(path, python2_pickle(cifar_batch(split)))


def svhn(root):
    for split, digits in (('train', [1, 10, 9]), ('test', [10, 2])):
        images = pixels(len(digits), 32, 32, 3, len(digits))
        labels = np.array(digits, np.uint8)[:, None]
        savemat(
            f'{root}/{split}_32x32.mat',
            {'X': images, 'y': labels},
            do_compression=True,
        )


def patch_camelyon(root):
    import h5py

    for split, count in (('train', 4), ('valid', 2), ('test', 3)):
        stem = f'{root}/camelyonpatch_level_2_split_{split}'
        with h5py.File(f'{stem}_x.h5', 'w') as file:
            file['x'] = pixels(count, count, 96, 96, 3)
        with h5py.File(f'{stem}_y.h5', 'w') as file:
            file['y'] = (np.arange(count) % 2).reshape(-1, 1, 1, 1)


DSPRITES = 'dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz'


def dsprites_arrays():
    images = pixels(0, 40, 64, 64) % 2
    classes = np.zeros((40, 6), np.int64)
    classes[:, 3] = np.arange(40)
    classes[:, 4] = np.arange(40)[::-1] % 32
    classes[:, 5] = 31
    return images, classes


def dsprites(root):
    images, classes = dsprites_arrays()
    np.savez_compressed(
        f'{root}/{DSPRITES}',
        # The original holds a pickled dictionary too, which is left alone.
        metadata=np.array({'author': 'x'}, dtype=object),
        imgs=images,
        latents_classes=classes,
        latents_values=classes.astype(float),
    )


def norb_matrix(array):
    magic = {'uint8': 0x1E3D4C55, 'int32': 0x1E3D4C54}[str(array.dtype)]
    lengths = array.shape + (1,) * (3 - array.ndim)
    header = np.array([magic, array.ndim, *lengths], '<i4')
    return header.tobytes() + array.tobytes()


def smallnorb(root):
    for name, count in (
        ('5x46789x9x18x6x2x96x96-training', 3),
        ('5x01235x9x18x6x2x96x96-testing', 2),
    ):
        # Instance, elevation, azimuth (0, 2, ..., 34) and lighting.
        factors = [[4, 8 - i, 34 - 2 * i, i] for i in range(count)]
        stem = f'{root}/smallnorb-{name}'
        write(f'{stem}-dat.mat', norb_matrix(pixels(count, count, 2, 96, 96)))
        write(f'{stem}-cat.mat', norb_matrix(np.arange(count, dtype='<i4')))
        write(f'{stem}-info.mat', norb_matrix(np.array(factors, '<i4')))


#: Distances of the objects of a scene of CLEVR, and labels of both tasks.
CLEVR_SCENES = [
    ([9.0, 8.0, 12.0], 0, 0),
    ([8.5, 11.0, 9.0, 10.0], 1, 1),
    ([8.500001, 9.0, 9.0], 0, 2),
    ([10.00001] * 10, 7, 5),
    ([9.6, 9.7, 11.0], 0, 4),
    ([9.01, 9.5, 11.0, 12.0, 13.0], 2, 3),
    ([9.51, 9.99, 10.0], 0, 4),
]


def clevr(root):
    """Scenes whose images have an alpha channel; those of test are missing."""
    top = f'{root}/CLEVR_v1.0'
    for split in ('train', 'val', 'test'):
        scenes = []
        for index, (distances, *_) in enumerate(CLEVR_SCENES):
            name = f'CLEVR_{split}_{index:06d}.png'
            write(
                f'{top}/images/{split}/{name}', encoded(index, 'RGBA', 'PNG')
            )
            objects = [
                dict(
                    pixel_coords=[100, 90, distance],
                    size='large',
                    color='red',
                    material='metal',
                    shape='cube',
                    rotation=1.5,
                    **{'3d_coords': [0, 1, 2]},
                )
                for distance in distances
            ]
            scenes.append(dict(image_filename=name, objects=objects))
        if split != 'test':
            path = f'{top}/scenes/CLEVR_{split}_scenes.json'
            write(path, json.dumps(dict(info={}, scenes=scenes)))
        path = f'{top}/questions/CLEVR_{split}_questions.json'
        write(path, json.dumps(dict(questions=[])))


KITTI_LINE = '{} 0.00 0 -0.20 712.4 143.0 810.7 307.9 1.89 0.48 1.20 {} 0.01'
#: Objects of an image of KITTI by turns, and the label.
KITTI_IMAGES = [
    ([('Car', '1.84 1.47 8.00'), ('Van', '0 0 30')], 0),
    ([('Truck', '1.84 1.47 8.01'), ('Pedestrian', '0 0 3')], 1),
    ([('Van', '-3 1.47 20.5'), ('DontCare', '-1000 -1000 -1000')], 2),
    ([('Cyclist', '1 1 4'), ('Tram', '1 1 2')], 3),
    ([], 3),
]


def kitti_videos():
    """Return the video of each of 48 images: 24 videos, of two images each."""
    return [f'2011_09_26_drive_{i * 7 % 24:04d}_sync' for i in range(48)]


def kitti(root):
    """Images that are numbered in another order than the videos list them."""
    videos = kitti_videos()
    order = np.random.RandomState(5).permutation(48)
    mapping = [''] * 48
    for number, video in enumerate(videos):
        mapping[order[number]] = f'2011_09_26 {video} {number:010d}'
        objects = KITTI_IMAGES[number % 5][0]
        lines = [KITTI_LINE.format(*thing) for thing in objects]
        stem = f'{root}/training'
        label = '\n'.join(lines) + '\n' * bool(lines)
        write(f'{stem}/label_2/{number:06d}.txt', label)
        image = encoded(number, form='PNG')
        write(f'{stem}/image_2/{number:06d}.png', image)
    mapping_folder = f'{root}/mapping'
    write(f'{mapping_folder}/train_mapping.txt', '\n'.join(mapping) + '\n')
    rand = ','.join(str(place + 1) for place in order)
    write(f'{mapping_folder}/train_rand.txt', rand + '\n')
    write(f'{root}/testing/image_2/000000.png', encoded(0, form='PNG'))


def eye(seed, size=(120, 90), radius=40):
    """Return an eye: a noisy disc on black."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    inside = (x - width // 2) ** 2 + (y - height // 2) ** 2 < radius**2
    content = pixels(seed, height, width, 3) // 4 + 120
    image = Image.fromarray((content * inside[:, :, None]).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=95)
    return buffer.getvalue()


EYES = {
    'train': [('10_left', 0), ('10_right', 4)],
    'Public': [('1_left', 1)],
    'Private': [('1_right', 2), ('2_left', 3)],
}


def diabetic_retinopathy(root):
    for folder, usages in (('train', ['train']), ('test', EYES)):
        for usage in usages:
            if (usage == 'train') == (folder == 'train'):
                for index, (name, _) in enumerate(EYES[usage]):
                    path = f'{root}/{folder}/{name}.jpeg'
                    write(path, eye(index, (120 + 20 * index, 90)))
    with open(f'{root}/trainLabels.csv', 'w', newline='') as file:
        rows = [('image', 'level'), *EYES['train']]
        csv.writer(file).writerows(rows)
    rows = [('image', 'level', 'Usage')]
    for usage in ('Private', 'Public'):
        rows += [(*row, usage) for row in EYES[usage]]
    with open(f'{root}/retinopathy_solution.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)


def varint(value):
    out = b''
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    """Return a field of a protocol buffer that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def dmlab_example(name, image, label, packed=True):
    """Return a serialised tf.train.Example, with fields nobody asks for."""
    integers = field(1, varint(label)) if packed else b'\x08' + varint(label)
    features = {
        'image': field(1, field(1, image)),
        'filename': field(1, field(1, name.encode())),
        'label': field(3, integers),
        'distance': field(2, field(1, struct.pack('<f', 2.5))),
    }
    entries = [
        field(1, field(1, key.encode()) + field(2, value))
        for key, value in features.items()
    ]
    return field(1, b''.join(entries))


def dmlab(root):
    from tools.dataset_converters.vtab1k_conversion.sources.tfrecord import (
        masked_crc32c,
    )

    for split, files in (('train', 2), ('validation', 1), ('test', 1)):
        for shard in range(files):
            content = b''
            for index in range(3):
                record = dmlab_example(
                    f'{split}_{shard}_{index}.jpg',
                    encoded(index, size=(48, 36)),
                    (index + shard) % 6,
                    packed=index != 1,
                )
                length = struct.pack('<Q', len(record))
                content += length
                content += struct.pack('<I', masked_crc32c(length))
                content += record
                content += struct.pack('<I', masked_crc32c(record))
            suffix = f'-{shard:05d}-of-{files:05d}'
            write(f'{root}/dmlab-{split}.tfrecord{suffix}', content)


#: Function that writes the download of each task, and the number of classes.
WRITERS = {
    'caltech101': (caltech101, 102),
    'cifar': (cifar_binary, 100),
    'dtd': (dtd, 47),
    'oxford_flowers102': (oxford_flowers102, 102),
    'oxford_iiit_pet': (oxford_iiit_pet, 37),
    'svhn': (svhn, 10),
    'sun397': (sun397, 397),
    'patch_camelyon': (patch_camelyon, 2),
    'eurosat': (eurosat, 10),
    'resisc45': (resisc45, 45),
    'diabetic_retinopathy': (diabetic_retinopathy, 5),
    'clevr_count': (clevr, 8),
    'clevr_dist': (clevr, 6),
    'dmlab': (dmlab, 6),
    'kitti': (kitti, 4),
    'dsprites_loc': (dsprites, 16),
    'dsprites_ori': (dsprites, 16),
    'smallnorb_azi': (smallnorb, 18),
    'smallnorb_ele': (smallnorb, 9),
}
