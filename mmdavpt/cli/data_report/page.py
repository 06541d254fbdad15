"""Write a data report as one HTML page, with pictures of its findings."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from jinja2 import Environment
from mmcv.transforms import LoadImageFromFile

from mmdavpt.checks.data.dataset_records import DatasetRecords
from mmdavpt.checks.data.dataset_report import DataReport, DatasetReport
from mmdavpt.datasets.folder_files import is_picture
from mmdavpt.errors import printable
from mmdavpt.visualization.thumbnails import Thumbnail, draw_sample

TEMPLATE = Path(__file__).with_name('page.html.jinja')

#: How many samples of a finding are drawn, and how many files are listed.
MOST_PICTURES, MOST_FILES = 12, 100

#: How many samples of each dataset are drawn.
MOST_SAMPLES = 6

#: Colors of pixels that are ignored, and of values without a class.
IGNORED, UNKNOWN = (128, 128, 128), (255, 0, 255)


def write_page(report: DataReport, built: Sequence[DatasetRecords]) -> str:
    """Return a report as an HTML page that needs no other file.

    Args:
        report (DataReport): The report.
        built (Sequence[DatasetRecords]): Its datasets, which load the samples
            to draw.
    """
    by_path = {part.path: part for part in built}
    # Image and labels of a sample are two files, but one picture.
    first = [f.files[: 2 * MOST_PICTURES] for f in report.all_findings]
    samples = _find_samples(set().union(*first), built)
    template = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).from_string(TEMPLATE.read_text('utf-8'))
    page = template.render(
        total=report.total,
        datasets=[
            (report.name_of(part), part, make_bars(part, own), _draw_some(own))
            for part in report.datasets
            for own in [by_path[part.path]]
        ],
        findings=[
            (finding, [draw() for draw in _drawers(files, samples)])
            for finding, files in zip(report.all_findings, first, strict=True)
        ],
        most_files=MOST_FILES,
    )
    return printable(page)


def make_bars(part: DatasetReport, built: DatasetRecords) -> list[dict]:
    """Return a bar for each class, and for each label value without one.

    Args:
        part (DatasetReport): The dataset.
        built (DatasetRecords): The same dataset.

    Returns:
        list[dict]: Name and color, count of images or pixels, 'share' in
        percent of all and 'width' of the most frequent, and 'wrong': whether
        it is a class without any, or no class.
    """
    counts = dict(enumerate(part.images_per_class.values()))
    if part.label_values:
        classes = dict.fromkeys(range(len(part.classes)), 0)
        counts = classes | part.label_values
    total, most = sum(counts.values()), max(counts.values(), default=0)
    bars = []
    for value, count in counts.items():
        color, name = style_of(value, built)
        missing = not count and value != built.ignore_index
        bar = dict(name=name, count=count, wrong=missing or color == UNKNOWN)
        bar['color'] = part.label_values and color
        bar['share'] = 100 * count / max(total, 1)
        bar['width'] = 100 * count / max(most, 1)
        bars.append(bar)
    return bars


def style_of(value: int, built: DatasetRecords) -> tuple[Sequence[int], str]:
    """Return color and name of a label value.

    Args:
        value (int): The value, as loaded.
        built (DatasetRecords): The dataset.
    """
    if value == built.ignore_index:
        return IGNORED, f'{value} (ignored)'
    if not 0 <= value < len(built.classes):
        return UNKNOWN, f'{value} (no class)'
    palette = built.files.dataset.metainfo.get('palette') or ()
    name = built.classes[value]
    name = name if name == str(value) else f'{value} {name}'
    return palette[value] if value < len(palette) else (0, 0, 0), name


def _find_samples(
    files: set[str], built: Sequence[DatasetRecords]
) -> dict[str, tuple[DatasetRecords, dict]]:
    """Return dataset and sample of each file that belongs to one."""
    return {
        sample[key]: (part, sample)
        for part in reversed(built)
        for sample in part.files.samples
        for key in ('img_path', 'seg_map_path')
        if sample.get(key) in files
    }


def _drawers(
    files: Sequence[str], samples: dict[str, tuple[DatasetRecords, dict]]
) -> list[Callable[[], Thumbnail]]:
    """Return what draws the samples of some files, or the files, each once."""
    unique = {}
    for file in files:
        if file in samples:
            part, sample = samples[file]
            unique[sample['img_path']] = partial(_draw, part, sample)
        elif is_picture(file):
            load = LoadImageFromFile(imdecode_backend='pillow')
            sample = dict(img_path=file)
            unique[file] = partial(draw_sample, sample, load, None, None)
    return [*unique.values()][:MOST_PICTURES]


def _draw_some(part: DatasetRecords) -> list[Thumbnail]:
    """Draw some samples of a dataset, evenly spread."""
    samples = part.files.samples
    step = math.ceil(len(samples) / MOST_SAMPLES) or 1
    return [_draw(part, sample) for sample in samples[::step]]


def _draw(part: DatasetRecords, sample: dict) -> Thumbnail:
    """Draw a sample, and name its values without a class first."""
    loaders = part.files.load_image, part.files.load_labels
    drawn = draw_sample(sample, *loaders, partial(style_of, built=part))
    drawn.legend.sort(key=lambda entry: entry[0] != UNKNOWN)
    return drawn
