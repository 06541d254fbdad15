"""Tiny copies of the original downloads in the layout of their archives."""

import numpy as np
from scipy.io import savemat

#: Content of the tiny copies: 10 training and 3 test images of 2 classes.
TRAIN = [3] * 4 + [7] * 6
TEST = [7, 3, 7]


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b'image')


def write_lines(path, rows):
    path.write_text(''.join(' '.join(map(str, row)) + '\n' for row in rows))


def structs(rows):
    """Return a MATLAB struct array, (1, N) as they all are."""
    array = np.zeros((1, len(rows)), [(key, object) for key in rows[0]])
    for i, row in enumerate(rows):
        for key, value in row.items():
            array[0, i][key] = value
    return array


def cells(values, shape):
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def write_birds(root, ids, folders, classes):
    """Write CUB's or NABirds' files; return train and test entries."""
    root.mkdir(parents=True, exist_ok=True)
    # The two splits take turns, as in the archives.
    rows = [(c, 1) for c in TRAIN] + [(c, 0) for c in TEST]
    rows = rows[::2] + rows[1::2]
    paths = [
        f'{folders[c]}/{i}.jpg' for i, (c, _) in zip(ids, rows, strict=True)
    ]
    write_lines(root / 'images.txt', zip(ids, paths, strict=True))
    write_lines(
        root / 'image_class_labels.txt',
        [(i, c) for i, (c, _) in zip(ids, rows, strict=True)],
    )
    write_lines(
        root / 'train_test_split.txt',
        [(i, t) for i, (_, t) in zip(ids, rows, strict=True)],
    )
    write_lines(root / 'classes.txt', classes)
    touch(root / 'images', *paths)
    entries = list(zip(paths, rows, strict=True))
    return [{p: c for p, (c, t) in entries if t == flag} for flag in (1, 0)]


def write_cub(root):
    folders = {3: '003.Sooty_Albatross', 7: '007.Parakeet_Auklet'}
    return write_birds(
        root, range(1, 14), folders, [(i, n) for i, n in folders.items()]
    )


def write_nabirds(root):
    ids = [f'{i:08x}-21dc-4d0c-bfe1-4cae3c85c8{i:02x}' for i in range(13)]
    return write_birds(
        root,
        ids,
        {3: '0003', 7: '0007'},
        [(0, 'Birds'), (3, "Ross's Goose"), (5, 'Geese'), (7, 'Snow Goose')],
    )


def write_flowers(root):
    labels = [*TRAIN, 3, 7, *TEST]
    numbers = list(range(len(labels), 0, -1))  # In no order, as there.
    savemat_to(
        root / 'imagelabels.mat',
        labels=np.array(
            [[c for _, c in sorted(zip(numbers, labels, strict=True))]]
        ),
    )
    parts = numbers[:10], numbers[10:12], numbers[12:]
    savemat_to(
        root / 'setid.mat',
        trnid=np.array([parts[0]], np.uint16),
        valid=np.array([parts[1]], np.uint16),
        tstid=np.array([parts[2]], np.uint16),
    )
    by_number = dict(zip(numbers, labels, strict=True))
    entries = [
        {f'jpg/image_{n:05d}.jpg': by_number[n] for n in part}
        for part in parts
    ]
    touch(root, *(path for part in entries for path in part))
    return entries


def savemat_to(path, **variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)


def write_dogs(root, lists='.', image_dir='Images'):
    breeds = {3: 'n02085936-Maltese_dog', 7: 'n02086910-papillon'}
    entries = []
    for part, classes in (('train', TRAIN), ('test', TEST)):
        paths = [
            f'{breeds[c]}/{breeds[c][:9]}_{part}{i}.jpg'
            for i, c in enumerate(classes)
        ]
        savemat_to(
            root / lists / f'{part}_list.mat',
            file_list=cells(paths, (-1, 1)),
            labels=np.array(classes, np.uint8).reshape(-1, 1),
        )
        touch(root / image_dir, *paths)
        entries.append(dict(zip(paths, classes, strict=True)))
    return entries


CAR_NAMES = cells([f'Car {i} Sedan 2012' for i in range(1, 8)], (1, -1))


def write_cars_devkit(root, labelled='devkit'):
    entries = []
    for part, classes, place in (
        ('train', TRAIN, 'devkit/cars_train_annos.mat'),
        ('test', TEST, f'{labelled}/cars_test_annos_withlabels.mat'),
    ):
        rows = [
            {'bbox_x1': 1, 'class': np.uint8(c), 'fname': f'{i:05d}.jpg'}
            for i, c in enumerate(classes, 1)
        ]
        savemat_to(root / place, annotations=structs(rows))
        paths = [f'cars_{part}/{row["fname"]}' for row in rows]
        touch(root, *paths)
        entries.append(dict(zip(paths, classes, strict=True)))
    savemat_to(root / 'devkit/cars_meta.mat', class_names=CAR_NAMES)
    return entries


def write_cars_in_one_file(root):
    classes, flags = [*TEST, *TRAIN], [1] * 3 + [0] * 10
    rows = [
        {
            'relative_im_path': f'car_ims/{i:06d}.jpg',
            'bbox_x1': 1,
            'class': np.uint8(c),
            'test': np.uint8(flag),
        }
        for i, (c, flag) in enumerate(zip(classes, flags, strict=True), 1)
    ]
    savemat_to(
        root / 'cars_annos.mat',
        annotations=structs(rows),
        class_names=CAR_NAMES,
    )
    touch(root, *(row['relative_im_path'] for row in rows))
    return [
        {
            row['relative_im_path']: int(row['class'])
            for row in rows
            if row['test'] == flag
        }
        for flag in (0, 1)
    ]


#: Writers of the tiny copies, by set and form.
WRITERS = {
    'cub': write_cub,
    'nabirds': write_nabirds,
    'flowers': write_flowers,
    'dogs': write_dogs,
    'cars': write_cars_devkit,
    'cars, one file': write_cars_in_one_file,
}
