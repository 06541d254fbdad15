"""Read TFRecord files of tf.train.Example without TensorFlow.

A record is its length as uint64, a checksum of the length, the content, and a
checksum of the content, all little-endian. The content is a protocol buffer:
an Example holds Features, a map from names to lists of bytes, floats or
integers.
"""

import os
import struct
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

Span = Tuple[int, int]
Value = Union[int, float, Span]
_HEADER = struct.Struct('<QI')
_CHECKSUM = struct.Struct('<I')
_FLOAT = struct.Struct('<f')
#: Kinds of fields of a protocol buffer.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Record(NamedTuple):
    """A record of a file.

    Attributes:
        start (int): Where its content starts in the file.
        content (bytes): The content.
    """

    start: int
    content: bytes


def read_records(path: str) -> Iterator[Record]:
    """Read all records, checking lengths but not contents.

    Args:
        path (str): Path of the file.

    Yields:
        Record: Each record.

    Raises:
        ValueError: If the file is damaged or is not of this form.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        while header := file.read(_HEADER.size):
            start = file.tell()
            if len(header) < _HEADER.size:
                raise ValueError(f'it ends within a record at {start}')
            length, checksum = _HEADER.unpack(header)
            if masked_crc32c(header[:8]) != checksum:
                raise ValueError(f'the record before {start} has no length')
            if start + length + _CHECKSUM.size > size:
                raise ValueError(f'it ends within the record at {start}')
            yield Record(start, file.read(length))
            file.seek(_CHECKSUM.size, os.SEEK_CUR)


def read_content(path: str, start: int, length: int) -> bytes:
    """Read the content of one record, and check it.

    Args:
        path (str): Path of the file.
        start (int): Where the content starts.
        length (int): Its number of bytes.

    Raises:
        ValueError: If it is not what was written.
    """
    with open(path, 'rb') as file:
        file.seek(start)
        content = file.read(length)
        checksum = file.read(_CHECKSUM.size)
    if checksum != _CHECKSUM.pack(masked_crc32c(content)):
        raise ValueError(f'the record at {start} is damaged')
    return content


def parse_example(content: bytes) -> Dict[str, List[Value]]:
    """Parse a tf.train.Example.

    Args:
        content (bytes): Content of a record.

    Returns:
        dict[str, list]: Values by name: integers, floats, or where bytes
        start and stop in the content.

    Raises:
        ValueError: If it has another form.
    """
    found: Dict[str, List[Value]] = {}
    for features in _children(content, (0, len(content)), 1):
        for entry in _children(content, features, 1):
            (start, stop), *_ = [*_children(content, entry, 1), (0, 0)]
            values: List[Value] = []
            for feature in _children(content, entry, 2):
                for spans in _children(content, feature, 1):
                    values += _children(content, spans, 1)
                for floats in _children(content, feature, 2):
                    values += _floats(content, floats)
                for integers in _children(content, feature, 3):
                    values += _integers(content, integers)
            found[content[start:stop].decode()] = values
    return found


def _children(content: bytes, span: Span, number: int) -> List[Span]:
    """Return where the fields of one number lie that hold bytes."""
    return [
        value
        for field, kind, value in _fields(content, span)
        if field == number and kind == _BYTES
    ]


def _floats(content: bytes, span: Span) -> List[float]:
    """Return the numbers of a FloatList, packed or one by one."""
    values: List[float] = []
    for number, kind, (start, stop) in _fields(content, span):
        if number == 1 and kind in (_BYTES, _FIXED32):
            if (stop - start) % _FLOAT.size:
                raise ValueError('a list of floats ends within one')
            part = memoryview(content)[start:stop]
            values += [value for (value,) in _FLOAT.iter_unpack(part)]
    return values


def _integers(content: bytes, span: Span) -> List[int]:
    """Return the integers of an Int64List, packed or one by one."""
    values: List[int] = []
    for number, kind, (start, stop) in _fields(content, span):
        while number == 1 and kind in (_BYTES, _VARINT) and start < stop:
            value, start = _varint(content, start, stop)
            values.append(value - (1 << 64) if value >> 63 else value)
    return values


def _fields(content: bytes, span: Span) -> Iterator[Tuple[int, int, Span]]:
    """Yield number, kind and place of the value of each field."""
    at, stop = span
    while at < stop:
        tag, at = _varint(content, at, stop)
        kind = tag & 7
        if kind == _VARINT:
            end = _varint(content, at, stop)[1]
        elif kind == _BYTES:
            length, at = _varint(content, at, stop)
            end = at + length
        elif kind in (_FIXED64, _FIXED32):
            end = at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f'a record has a field of unknown kind {kind}')
        if end > stop:
            raise ValueError('a field of a record is longer than its record')
        yield tag >> 3, kind, (at, end)
        at = end


def _varint(content: bytes, at: int, stop: int) -> Tuple[int, int]:
    """Return an integer of seven bits a byte, and where it ends."""
    value = shift = 0
    while at < stop and shift < 64:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError('a number of a record does not end')


def _crc32c_table() -> List[int]:
    """Return the checksums of single bytes, Castagnoli's polynomial."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc32c_table()


def masked_crc32c(content: bytes) -> int:
    """Return the CRC-32C of bytes as TFRecord masks it.

    The mask rotates the checksum by 15 bits to the right and adds a constant,
    so that the checksum of content that holds checksums is of use.

    Args:
        content (bytes): The content.
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
