"""Write a data report as one HTML page, with pictures of its findings."""

from collections.abc import Iterator, Sequence
from itertools import islice, starmap
from pathlib import Path

from jinja2 import Environment

from mmdavpt.checks.data.checked_dataset import CheckedDataset
from mmdavpt.checks.data.report import DataReport
from mmdavpt.errors import printable

from .thumbnails import UNKNOWN, draw_sample, style_of

TEMPLATE = Path(__file__).with_name('page.html.jinja')

#: How many samples of a finding are drawn, and how many files are listed.
MOST_PICTURES, MOST_FILES = 12, 100


def write_page(report: DataReport, opened: Sequence[CheckedDataset]) -> str:
    """Return a report as an HTML page that needs no other file.

    Args:
        report (DataReport): The report.
        opened (Sequence[CheckedDataset]): Its datasets, in the same order,
            which load the samples to draw.
    """
    samples = {
        sample[key]: (data, sample)
        for data in reversed(opened)
        for sample in data.samples
        for key in ('img_path', 'seg_map_path')
        if sample.get(key)
    }
    template = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).from_string(TEMPLATE.read_text('utf-8'))
    page = template.render(
        total=report.total,
        datasets=[
            (report.name_of(part), part, make_bars(data))
            for part, data in zip(report.datasets, opened, strict=True)
        ],
        findings=[
            (finding, [*islice(_draw(finding.files, samples), MOST_PICTURES)])
            for finding in report.all_findings
        ],
        most_files=MOST_FILES,
    )
    return printable(page)


def make_bars(data: CheckedDataset) -> list[dict]:
    """Return a bar for each class, and for each label value without one.

    Args:
        data (CheckedDataset): The dataset.

    Returns:
        list[dict]: Name and color, count of images or pixels, 'share' in
        percent of all and 'width' of the most frequent, and 'wrong': whether
        it is a class without any, or no class.
    """
    counts = data.class_counts | dict(sorted(data.counts.items()))
    total, most = sum(counts.values()), max(counts.values(), default=0)
    bars = []
    for value, count in counts.items():
        color, name = style_of(value, data)
        missing = not count and value != data.ignore_index
        bar = dict(name=name, count=count, wrong=missing or color == UNKNOWN)
        bar['color'] = color if data.labels else ''
        bar['share'] = 100 * count / max(total, 1)
        bar['width'] = 100 * count / max(most, 1)
        bars.append(bar)
    return bars


def _draw(
    files: Sequence[str], samples: dict[str, tuple[CheckedDataset, dict]]
) -> Iterator[dict]:
    """Draw the samples that some files belong to, each once."""
    known = (samples[file] for file in files if file in samples)
    # Image and labels of a sample are two files.
    unique = {sample['img_path']: (data, sample) for data, sample in known}
    return starmap(draw_sample, unique.values())
