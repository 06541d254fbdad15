"""Write a data report as text for a terminal, or as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.cells import cell_len

from mmdavpt.checks.data.dataset_report import DataReport
from mmdavpt.errors import printable
from mmdavpt.version import __version__

#: Version of the JSON; a change that breaks readers raises it.
JSON_VERSION = 1


def write_json(report: DataReport) -> str:
    """Return a report as JSON, with all files of each finding.

    Args:
        report (DataReport): The report.
    """
    content = dict(
        version=JSON_VERSION,
        mmdavpt=__version__,
        summary=report.total,
        **asdict(report),
    )
    return json.dumps(content, indent=1)


def write_text(report: DataReport) -> str:
    """Return a report as a short text: numbers, then a line per finding.

    Args:
        report (DataReport): The report.
    """
    rows = [('', 'images', 'classes', 'smallest, median, largest', 'formats')]
    notes = []
    for part in report.datasets:
        name = report.name_of(part)
        sizes = [f'{w}×{h}' for w, h in part.sizes.values()]
        rows.append(
            (
                name,
                f'{part.num_samples:,}',
                str(len(part.classes) or ''),
                ', '.join(dict.fromkeys(sizes)),
                part.same_as
                and f'the files of {part.same_as}'
                or ', '.join(part.formats),
            )
        )
        if counts := part.images_per_class or part.pixels_per_class:
            unit = 'images' if part.images_per_class else 'pixels'
            notes.append(f'{name}: {unit} per class: {_summary(counts)}')
    findings = [
        f'{f.severity}: {f.split}: {f.sentence}'.replace('\n', '\\n')
        for f in report.all_findings
    ]
    blocks = [
        align(rows),
        '\n'.join(notes),
        '\n'.join(findings),
        report.total,
    ]
    return printable('\n\n'.join(filter(None, blocks)))


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns; wide characters count as two.

    Args:
        rows (Sequence[Sequence[str]]): The cells.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join(
            cell + ' ' * (width - cell_len(cell))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return '\n'.join(lines)


def _summary(counts: dict[str, int]) -> str:
    """Return the counts of a few classes, or the range of many."""
    if len(counts) <= 6:
        return ', '.join(f'{name} {n:,}' for name, n in counts.items())
    ordered = sorted(counts, key=counts.get)
    low, middle, high = (ordered[i] for i in (0, len(ordered) // 2, -1))
    if counts[low] == counts[high]:
        return f'{counts[low]:,} each'
    return (
        f'{counts[low]:,} ({low}) to {counts[high]:,} ({high}), median '
        f'{counts[middle]:,}'
    )
