"""Write a data report as text for a terminal, or as JSON for programs."""

import json
from dataclasses import asdict

from prettytable import PrettyTable

from mmdavpt.checks.data.report import DataReport
from mmdavpt.errors import printable
from mmdavpt.version import __version__

#: Version of the JSON; a change that breaks readers raises it.
JSON_VERSION = 1

#: The first column has no title.
COLUMNS = ('', 'images', 'classes', 'smallest, median, largest', 'formats')


def write_json(report: DataReport) -> str:
    """Return a report as JSON, with all files of each finding.

    Args:
        report (DataReport): The report.
    """
    content = dict(version=JSON_VERSION, mmdavpt=__version__)
    content |= dict(summary=report.total, datasets=report.summaries)
    content['findings'] = [asdict(finding) for finding in report.findings]
    return json.dumps(content, indent=1)


def write_text(report: DataReport) -> str:
    """Return a report as a short text: numbers, then a line per finding.

    Args:
        report (DataReport): The report.
    """
    table = PrettyTable(COLUMNS, border=False, align='l')
    table.left_padding_width, table.right_padding_width = 0, 2
    notes = []
    for data, part in zip(report.datasets, report.summaries, strict=True):
        name, number = report.name_of(data), len(part['classes']) or ''
        sizes = dict.fromkeys(f'{w}×{h}' for w, h in part['sizes'].values())
        same = data.same_as and f'the files of {data.same_as}'
        formats = same or ', '.join(part['formats'])
        images = f'{part["num_samples"]:,}'
        table.add_row([name, images, number, ', '.join(sizes), formats])
        if counts := part['images_per_class'] or part['pixels_per_class']:
            summary = _summary(counts)
            notes.append(f'{name}: {data.unit} per class: {summary}')
    found = report.all_findings
    findings = [f'{f.severity}: {f.split}: {f.sentence}' for f in found]
    findings = [text.replace('\n', '\\n') for text in findings]
    lines = [line.rstrip() for line in table.get_string().split('\n')]
    blocks = ['\n'.join(block) for block in (lines, notes, findings)]
    return printable('\n\n'.join(filter(None, [*blocks, report.total])))


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
