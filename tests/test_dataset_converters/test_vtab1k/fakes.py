"""Splits of a tiny VTAB-1k task, and how to write them."""

from functools import partial

from PIL import Image

from mmdavpt.datasets.vtab1k import TASKS
from tools.dataset_converters.vtab1k_conversion.sources.example import Example
from tools.dataset_converters.vtab1k_conversion.writing import write_task

TASK = TASKS['kitti']


def picture(number):
    """Return an image whose pixels tell its number, and suffer from JPEG."""
    image = Image.new('RGB', (7, 5), (number, 255 - number, 3))
    image.putpixel((number % 7, 2), (255, 0, 255))
    return image


def example(number):
    return Example(number, number % 4, partial(picture, number))


def splits(test=6):
    train, val = [example(i) for i in range(5)], [example(9), example(8)]
    tests = [example(20 + i) for i in range(test)]
    return dict(
        train800=train, val200=val, train800val200=train + val, test=tests
    )


ORIGIN = dict(source='fake', images='none')
NAMES = ['near', 'far', 'farther', 'none']


def write(root, parts=None, names=NAMES, origin=ORIGIN, **kwargs):
    parts = splits() if parts is None else parts
    return write_task(TASK, parts, str(root), origin, names, **kwargs)


def contents(root):
    """Return the content of every file of a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }
