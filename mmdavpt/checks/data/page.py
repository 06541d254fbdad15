"""Write a data report as one HTML page, with pictures of its findings."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment

from .built import BuiltDataset
from .dataset_report import DataReport, DatasetReport
from .folders import is_picture
from .pictures import (
    UNKNOWN,
    Picture,
    draw_file,
    draw_sample,
    find_samples,
    value_style,
)
from .report import name_of, printable, total

TEMPLATE = Path(__file__).with_name('report.html.jinja')

#: How many samples of a finding are drawn, and how many files are listed.
MOST_PICTURES, MOST_FILES = 12, 100

#: How many samples of each dataset are drawn.
MOST_SAMPLES = 6


class Bar(NamedTuple):
    """A bar of a histogram.

    Args:
        name (str): Number and name of a class, or a label value.
        color (str): Its color in pictures; '' if it has none.
        count (int): Its images or pixels.
        share (float): The same in percent of all.
        width (float): The same in percent of the most frequent.
        wrong (bool): Whether it is a class without any, or no class.
    """

    name: str
    color: str
    count: int
    share: float
    width: float
    wrong: bool


def write_page(report: DataReport, built: Sequence[BuiltDataset]) -> str:
    """Return a report as an HTML page that needs no other file.

    Args:
        report (DataReport): The report.
        built (Sequence[BuiltDataset]): Its datasets, which load the samples
            to draw.
    """
    by_path = {part.path: part for part in built}
    # Image and labels of a sample are two files, but one picture.
    first = [f.files[: 2 * MOST_PICTURES] for f in report.all_findings]
    samples = find_samples(sum(first, ()), built)
    template = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).from_string(TEMPLATE.read_text('utf-8'))
    page = template.render(
        total=total(report),
        datasets=[
            (
                name_of(part, report),
                part,
                make_bars(part, by_path[part.path]),
                draw_some(by_path[part.path]),
            )
            for part in report.datasets
        ],
        findings=[
            (finding, draw_first(files, samples))
            for finding, files in zip(report.all_findings, first, strict=True)
        ],
        most_files=MOST_FILES,
    )
    return printable(page)


def make_bars(part: DatasetReport, built: BuiltDataset) -> list[Bar]:
    """Return a bar for each class, and for each label value without one.

    Args:
        part (DatasetReport): The dataset.
        built (BuiltDataset): The same dataset.
    """
    counts = dict(enumerate(part.images_per_class.values()))
    if part.label_values:
        classes = dict.fromkeys(range(len(part.classes)), 0)
        counts = classes | part.label_values
    most, all_counts = max(counts.values(), default=0), sum(counts.values())
    return [
        Bar(
            name=name,
            color=color if part.label_values else '',
            count=count,
            share=100 * count / max(all_counts, 1),
            width=100 * count / max(most, 1),
            wrong=color == UNKNOWN
            or not (count or value == built.ignore_index),
        )
        for value, count in counts.items()
        for color, name in [value_style(value, built)]
    ]


def draw_first(
    files: Sequence[str], samples: dict[str, tuple[BuiltDataset, dict]]
) -> list[Picture]:
    """Draw the first samples of a finding, each once.

    Args:
        files (Sequence[str]): Its first files.
        samples (dict): Dataset and sample of each file that has one.
    """
    unique = {}
    for file in files:
        if file in samples:
            part, sample = samples[file]
            unique[sample['img_path']] = partial(draw_sample, part, sample)
        elif is_picture(file):
            unique[file] = partial(draw_file, file)
    return [draw() for draw in [*unique.values()][:MOST_PICTURES]]


def draw_some(part: BuiltDataset) -> list[Picture]:
    """Draw some samples of a dataset, evenly spread.

    Args:
        part (BuiltDataset): The dataset.
    """
    samples = part.files.samples
    step = math.ceil(len(samples) / MOST_SAMPLES) or 1
    return [draw_sample(part, sample) for sample in samples[::step]]
