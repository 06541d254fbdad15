"""Write a data report as one HTML page, with pictures of its findings."""

import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, starmap
from pathlib import Path

import numpy as np
from jinja2 import Environment
from PIL import Image

from mmdavpt.checks.data.checked_dataset import CheckedDataset
from mmdavpt.checks.data.report import DataReport
from mmdavpt.datasets.image_files import UNDECODABLE
from mmdavpt.errors import printable

TEMPLATE = Path(__file__).with_name('page.html.jinja')

#: Longest side of a picture, in pixels.
SIDE = 160

#: Colors of pixels that are ignored, and of values without a class.
IGNORED, UNKNOWN = (128, 128, 128), (255, 0, 255)

#: How many samples of a finding are drawn, and how many files are listed.
MOST_PICTURES, MOST_FILES = 12, 100


def write_page(report: DataReport) -> str:
    """Return a report as an HTML page that needs no other file.

    Args:
        report (DataReport): The report.
    """
    samples = {
        sample[key]: (data, sample)
        for data in reversed(report.datasets)
        for sample in data.samples
        for key in ('img_path', 'seg_map_path')
        if sample.get(key)
    }
    names = map(report.name_of, report.datasets)
    bars, found = map(make_bars, report.datasets), report.all_findings
    drawn = (islice(_draw(f.files, samples), MOST_PICTURES) for f in found)
    return render(
        TEMPLATE,
        total=report.total,
        most_files=MOST_FILES,
        datasets=[*zip(names, report.summaries, bars, strict=True)],
        findings=[*zip(found, map(list, drawn), strict=True)],
    )


def render(template: Path, **values: object) -> str:
    """Return an HTML page in which all values are escaped.

    Args:
        template (Path): A Jinja template.
        **values: Its variables.
    """
    options = dict(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = Environment(**options).from_string(template.read_text('utf-8'))
    return printable(page.render(**values))


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


def draw_sample(data: CheckedDataset, sample: dict) -> dict:
    """Draw a sample as a training loads it, and its labels in color.

    Args:
        data (CheckedDataset): The dataset.
        sample (dict): The sample.

    Returns:
        dict: 'file' of the image; 'image', a data URI, '' if it cannot be
        loaded; 'labels', a data URI, '' without; and 'legend': color, name
        and percentage of pixels of the label values, those without a class
        first, then the most frequent.
    """
    image = _draw_image(_load(data.load_image, sample, 'img'))
    drawn = dict(file=sample['img_path'], image=image, labels='', legend=[])
    labels = _load(data.load_labels, sample, 'gt_seg_map')
    if labels is None or labels.ndim != 2:
        return drawn
    values, counts = np.unique(labels, return_counts=True)
    styles = [style_of(value, data) for value in values.tolist()]
    colors = np.zeros((256, 3), np.uint8)
    colors[values.astype(np.uint8)] = [color for color, _ in styles]
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(colors.tobytes())
    shares = 100 * counts / labels.size
    legend = [(*style, n) for style, n in zip(styles, shares, strict=True)]
    legend.sort(key=lambda entry: (entry[0] != UNKNOWN, -entry[2]))
    return dict(drawn, labels=encode(picture, 'png'), legend=legend)


def _draw_image(pixels: np.ndarray | None) -> str:
    """Return an image with BGR channels, or one, as a small data URI."""
    if pixels is None:
        return ''
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if pixels.ndim == 3:  # BGR, BGRA, or one channel
        pixels = pixels[..., 2::-1] if pixels.shape[2] > 2 else pixels[..., 0]
    return encode(Image.fromarray(np.ascontiguousarray(pixels)), 'jpeg')


def style_of(value: int, data: CheckedDataset) -> tuple[Sequence[int], str]:
    """Return color and name of a label value.

    Args:
        value (int): The value, as loaded.
        data (CheckedDataset): The dataset.
    """
    if value == data.ignore_index:
        return IGNORED, f'{value} (ignored)'
    if not 0 <= value < len(data.classes):
        return UNKNOWN, f'{value} (no class)'
    palette = data.dataset.metainfo.get('palette') or ()
    name = data.classes[value]
    name = name if name == str(value) else f'{value} {name}'
    return palette[value] if value < len(palette) else (0, 0, 0), name


def _load(
    load: Callable[[dict], dict | None] | None, sample: dict, key: str
) -> np.ndarray | None:
    try:
        return load and load(dict(sample, seg_fields=[]))[key]
    except UNDECODABLE:
        return None


def encode(picture: Image.Image, kind: str) -> str:
    """Return a small picture as a data URI.

    Args:
        picture (Image.Image): The picture, made small in place.
        kind (str): 'jpeg' or 'png'.
    """
    picture.thumbnail((SIDE, SIDE))  # indexed colors are not mixed
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    content = b64encode(buffer.getvalue()).decode()
    return f'data:image/{kind};base64,{content}'
