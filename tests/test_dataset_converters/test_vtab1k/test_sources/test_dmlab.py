import struct

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.sources.tfrecord import (
    masked_crc32c,
    parse_example,
)

from . import archives


def test_masked_crc32c_of_the_check_value():
    # The check value of CRC-32C is 0xE3069283 (RFC 3720, appendix B.4, and
    # the catalogue of CRCs), rotated by 15 and added to 0xA282EAD8.
    crc = 0xE3069283
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    expected = (rotated + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(b'123456789') == expected


def test_parse_example():
    content = archives.dmlab_example('name', b'pixels', 300, packed=True)
    values = parse_example(content)
    assert values['label'] == [300]
    assert values['filename'] == [b'name']
    assert values['image'] == [b'pixels']


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('label', [0, 127, 128, 2**40, 2**64 - 3])
def test_parse_integers(label, packed):
    content = archives.dmlab_example('', b'', label, packed)
    expected = label - 2**64 if label >= 2**63 else label
    assert parse_example(content)['label'] == [expected]


@pytest.mark.parametrize('packed', [True, False])
def test_parse_floats(packed):
    numbers = [struct.pack('<f', number) for number in (1.5, -0.25, 8.0)]
    if packed:
        floats = archives.field(1, b''.join(numbers))
    else:
        floats = b''.join(b'\x0d' + number for number in numbers)
    value = archives.field(1, b'at') + archives.field(
        2, archives.field(2, floats)
    )
    content = archives.field(1, archives.field(1, value))
    assert parse_example(content) == {'at': [1.5, -0.25, 8.0]}


def test_skip_unknown_fields():
    content = archives.dmlab_example('name', b'pixels', 3)
    extra = b'\x10\x96\x01' + b'\x19' + bytes(8) + b'\x25' + bytes(4)
    extra += archives.field(9, b'text')
    values = parse_example(extra + content + extra)
    assert values['label'] == [3]


def test_truncated_examples_never_parse_as_complete():
    content = archives.dmlab_example('name', b'pixels', 300)
    complete = parse_example(content)
    for stop in range(len(content)):
        try:
            assert parse_example(content[:stop]) != complete
        except ValueError:
            continue


def test_read_dmlab(tmp_path):
    archives.dmlab(str(tmp_path))
    splits = SOURCES['dmlab'](str(tmp_path))
    assert [e[:2] for e in splits['train']] == [
        (f'train_{shard}_{index}.jpg', index + shard)
        for shard in range(2)
        for index in range(3)
    ]
    assert len(splits['validation']) == len(splits['test']) == 3
    image = splits['train'][4].read()
    archives.write(f'{tmp_path}/a.jpg', archives.encoded(1, size=(48, 36)))
    assert np.array_equal(image, Image.open(tmp_path / 'a.jpg'))


@pytest.mark.parametrize(
    'change, problem',
    [
        (lambda content: content[:-1], 'ends within the record'),
        (lambda content: content + b'\0', 'length of the record .* wrong'),
        (lambda content: b'\0' + content, 'length of the record at 0 .*wrong'),
        (
            lambda content: content[:-300] + b'?' + content[-299:],
            'record at .* is damaged',
        ),
    ],
)
def test_reject_damaged_files(change, problem, tmp_path):
    archives.dmlab(str(tmp_path))
    path = tmp_path / 'dmlab-validation.tfrecord-00000-of-00001'
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UsageError, match=f'{path} cannot be read .*{problem}'):
        SOURCES['dmlab'](str(tmp_path))


def test_reject_records_without_a_file_name(tmp_path):
    archives.dmlab(str(tmp_path))
    record = archives.field(1, b'')
    length = struct.pack('<Q', len(record))
    content = length + struct.pack('<I', masked_crc32c(length)) + record
    content += struct.pack('<I', masked_crc32c(record))
    path = tmp_path / 'dmlab-test.tfrecord-00000-of-00001'
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read .'filename'"):
        SOURCES['dmlab'](str(tmp_path))
