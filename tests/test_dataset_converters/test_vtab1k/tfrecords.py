"""Tiny datasets as TensorFlow Datasets prepares them."""

import io
import json
import os
import struct

from PIL import Image

from tools.dataset_converters.vtab1k_conversion.sources.tfrecord import (
    masked_crc32c,
)

from .test_sources.archives import field, varint


def png(value, mode='RGB'):
    """Return a PNG file of 4 x 3 pixels of one value."""
    buffer = io.BytesIO()
    fill = (value, 10, 20) if mode == 'RGB' else value
    Image.new(mode, (4, 3), fill).save(buffer, 'PNG')
    return buffer.getvalue()


def serialised(**features):
    """Return a tf.train.Example of integers, floats and bytes."""
    entries = []
    for name, values in features.items():
        if values and isinstance(values[0], bytes):
            value = field(1, b''.join(field(1, each) for each in values))
        elif values and isinstance(values[0], float):
            packed = struct.pack(f'<{len(values)}f', *values)
            value = field(2, field(1, packed))
        else:
            value = field(3, field(1, b''.join(map(varint, values))))
        key = field(1, name.replace('__', '/').encode())
        entries.append(field(1, key + field(2, value)))
    return field(1, b''.join(entries))


def write_records(path, records):
    with open(path, 'wb') as file:
        for content in records:
            length = struct.pack('<Q', len(content))
            file.write(length + struct.pack('<I', masked_crc32c(length)))
            file.write(content + struct.pack('<I', masked_crc32c(content)))


def prepare(root, name, splits, files=1, **info):
    """Write a folder of a version; each split is a list of features."""
    os.makedirs(root, exist_ok=True)
    for split, examples in splits.items():
        size = -(-len(examples) // files)
        for i in range(files):
            path = f'{root}/{name}-{split}.tfrecord-{i:05d}-of-{files:05d}'
            part = examples[i * size : (i + 1) * size]
            write_records(path, [serialised(**each) for each in part])
    info = dict(name=name, version='3.0.2', **info)
    with open(f'{root}/dataset_info.json', 'w') as file:
        json.dump(info, file)
    return str(root)


def labelled(count, start=0):
    """Return examples whose labels and images count."""
    return [
        dict(image=[png(i)], label=[i % 100], id=[b'train'])
        for i in range(start, start + count)
    ]
