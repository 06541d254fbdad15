"""The tables of a benchmark, and the machine that it ran on."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import torch

from .cases import Case
from .forms import FORMS
from .measuring import Row
from .timing import paired_ratio, spread

#: What the ratios of a pass are to, as far as they are measured.
REFERENCES = dict(training=('concatenated', 'vpt'), inference=('plain',))
MIB = 2**20


def machine(device: str) -> dict:
    """Return what one must know of a machine to compare times.

    Args:
        device (str): Where the times are taken.
    """
    found = dict(
        device=platform.processor() or platform.machine(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
    )
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding='utf-8').splitlines()
        names = [x.split(':')[1] for x in lines if x.startswith('model name')]
        found['device'] = names[0].strip() if names else found['device']
    if torch.device(device).type == 'cuda':
        found['device'] = torch.cuda.get_device_name(device)
    return found


def to_markdown(rows: Iterable[Row]) -> str:
    """Return a table for each case and pass.

    Args:
        rows (Iterable[Row]): Those of a case and pass one after the other.
    """
    parts = []
    for (case, phase), group in groupby(rows, lambda r: (r.case, r.phase)):
        parts.append(f'{title(case)}, {phase}\n\n{table([*group])}')
    return '\n\n'.join(parts) + '\n'


def title(case: Case) -> str:
    """Return a case in words."""
    parts = [
        f'**{case.model}/{case.patch} at {case.size}**',
        f'{case.prompts} prompts',
        f'{case.classes} classes',
        f'batch {case.batch}',
        case.precision,
    ]
    return ', '.join(parts)


def table(rows: Sequence[Row]) -> str:
    """Return the table of one case and pass.

    Times are median [first quartile, third quartile]. A ratio of times is
    that of the same round, so that a slow spell does not count.

    Args:
        rows (Sequence[Row]): A row for each form.
    """
    phase = rows[0].phase
    forms = {row.form: row for row in rows}
    references = [forms[f] for f in REFERENCES[phase] if f in forms]
    head = ['form', 'GFLOP/image', *(f'/ {r.form}' for r in references)]
    if phase == 'training':
        head.append('kept MiB/image')
    head.append('peak MiB')
    if rows[0].seconds:
        head += ['ms/image', 'images/s']
        head += [f'time / {r.form}' for r in references]
        head.append('of a matmul')
    lines = [head, ['---'] * len(head)]
    lines += [_cells(row, references) for row in rows]
    return '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in lines)


def _cells(row: Row, references: Sequence[Row]) -> list[str]:
    batch = row.case.batch
    cells = [row.form, f'{row.flops / batch / 1e9:.2f}']
    cells += [f'{row.flops / r.flops:.3f}' for r in references]
    if row.phase == 'training':
        cells.append(f'{row.kept / batch / MIB:.1f}')
    cells.append(f'{row.peak / MIB:,.0f}')
    if not row.seconds:
        return cells
    middle, low, high = (1e3 * s / batch for s in spread(row.seconds))
    cells += [f'{middle:.1f} [{low:.1f}, {high:.1f}]', f'{1e3 / middle:.1f}']
    for reference in references:
        ratio, low, high = paired_ratio(row.seconds, reference.seconds)
        cells.append(f'{ratio:.3f} [{low:.3f}, {high:.3f}]')
    reached = row.flops / (middle * batch / 1e3)
    cells.append(f'{reached / row.matmul:.0%}')
    return cells


def legend(forms: Iterable[str]) -> str:
    """Return what the forms are, one on a line."""
    return '\n'.join(f'- `{form}`: {FORMS[form].note}' for form in forms)


def to_json(rows: Iterable[Row], device: str, clock: str) -> dict:
    """Return all figures, so that other tables can be made of them.

    Args:
        rows (Iterable[Row]): The rows.
        device (str): Where the times were taken.
        clock (str): By which of ``CLOCKS``.
    """
    about = dict(**machine(device), clock=clock)
    return dict(machine=about, rows=[row.to_dict() for row in rows])


def from_json(content: dict) -> list[Row]:
    """Return the rows of :func:`to_json`."""
    names = {f.name for f in fields(Row)} - {'case'}
    return [
        Row(case=Case(**row['case']), **{n: row[n] for n in names})
        for row in content['rows']
    ]
