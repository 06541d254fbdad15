"""Read TFRecord files of tf.train.Example without TensorFlow.

A record is its length as uint64, a checksum of the length, the content, and a
checksum of the content, all little-endian. The content is a protocol buffer:
an Example maps names to lists of bytes, floats or integers.

The package ``tfrecord`` is not used: it skips all checksums and imports
PyTorch and NumPy to read a file. ``google-crc32c`` computes the checksums and
``protobuf`` parses the content.
"""

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from mmdavpt.errors import UsageError

from .images import image_from_bytes

Features = dict[str, list[int | float | bytes]]
_LENGTH = struct.Struct('<Q')
_CHECKSUM = struct.Struct('<I')

#: The protocol buffer tf.train.Example, as tensorflow/core/example defines it.
_SCHEMA = """
name: "example.proto" syntax: "proto3"
message_type { name: "BytesList" field {
  name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList" field {
  name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List" field {
  name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature"
  field { name: "bytes_list" number: 1 type_name: "BytesList" }
  field { name: "float_list" number: 2 type_name: "FloatList" }
  field { name: "int64_list" number: 3 type_name: "Int64List" } }
message_type { name: "Entry"
  field { name: "key" number: 1 type: TYPE_STRING }
  field { name: "value" number: 2 type_name: "Feature" } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type_name: "Entry" }
}
message_type { name: "Example"
  field { name: "features" number: 1 type_name: "Features" } }
"""


class Record(NamedTuple):
    """A record of a TFRecord file.

    Attributes:
        start (int): Offset of its content in the file, in bytes.
        length (int): Length of its content, in bytes.
        features (dict[str, list]): Its integers, floats or bytes by name.
    """

    start: int
    length: int
    features: Features


def read_records(path: str) -> Iterator[Record]:
    """Read all records and verify their checksums.

    Args:
        path (str): Path of the file.

    Yields:
        Record: Each record.

    Raises:
        ValueError: If the file is damaged or is not a TFRecord file.
        UsageError: If google-crc32c or protobuf is not installed.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        while (at := file.tell()) < size:
            header = _read_checked(file, _LENGTH.size)
            if header is None:
                raise ValueError(f'the length of the record at {at} is wrong')
            (length,) = _LENGTH.unpack(header)
            start = file.tell()
            if start + length + _CHECKSUM.size > size:
                raise ValueError(f'the file ends within the record at {at}')
            content = _read_checked(file, length)
            if content is None:
                raise ValueError(f'the record at {at} is damaged')
            yield Record(start, length, parse_example(content))


def _read_checked(file: BinaryIO, length: int) -> bytes | None:
    """Read bytes and their checksum; return None if they do not match."""
    content = file.read(length)
    checksum = file.read(_CHECKSUM.size)
    matches = checksum == _CHECKSUM.pack(masked_crc32c(content))
    return content if matches else None


def read_image(path: str, start: int, length: int) -> Image.Image:
    """Read the feature 'image' of one record as RGB.

    Args:
        path (str): Path of the file.
        start (int): Offset of the content of the record, in bytes.
        length (int): Length of the content, in bytes.

    Raises:
        UsageError: If the image cannot be decoded.
    """
    with open(path, 'rb') as file:
        file.seek(start)
        (image,) = parse_example(file.read(length))['image']
    return image_from_bytes(image, path)


def parse_example(content: bytes) -> Features:
    """Parse a tf.train.Example.

    Args:
        content (bytes): Content of a record.

    Returns:
        dict[str, list]: Integers, floats or bytes by name.

    Raises:
        ValueError: If the content is not an Example.
    """
    message = _package('google.protobuf.message')
    try:
        example = _example_class().FromString(content)
    except message.DecodeError as error:
        raise ValueError(f'a record is not an Example ({error})') from error
    return {
        entry.key: [
            *entry.value.bytes_list.value,
            *entry.value.float_list.value,
            *entry.value.int64_list.value,
        ]
        for entry in example.features.feature
    }


@lru_cache(maxsize=1)
def _example_class() -> Any:
    """Build the message class in a separate pool, apart from TensorFlow."""
    descriptor_pb2 = _package('google.protobuf.descriptor_pb2')
    pool = _package('google.protobuf.descriptor_pool').DescriptorPool()
    pool.Add(
        _package('google.protobuf.text_format').Parse(
            _SCHEMA, descriptor_pb2.FileDescriptorProto()
        )
    )
    factory = _package('google.protobuf.message_factory')
    return factory.GetMessageClass(pool.FindMessageTypeByName('Example'))


def masked_crc32c(content: bytes) -> int:
    """Return the masked CRC-32C checksum of a TFRecord file.

    The mask rotates the checksum by 15 bits to the right and adds a constant.

    Args:
        content (bytes): The content.
    """
    crc = _package('google_crc32c').value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _package(name: str) -> ModuleType:
    """Import a package that only the converters need."""
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f'reading TFRecord files needs {name}; '
            'run pip install "mmdavpt[converters]"'
        ) from None
