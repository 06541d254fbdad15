"""Tables of a benchmark, and the machine that it ran on."""

import platform
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import torch

from .cases import Case
from .measuring import Row
from .timing import paired_ratio, spread

#: The reference forms of the ratios, by pass.
REFERENCES = dict(training=('concatenated', 'vpt'), inference=('plain',))
MIB = 2**20


def machine(device: str) -> dict:
    """Return the facts about a machine that times depend on.

    Args:
        device (str): The measured device.
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
        rows (Iterable[Row]): The rows, grouped by case and pass.
    """
    parts = []
    for (case, phase), group in groupby(rows, lambda r: (r.case, r.phase)):
        parts.append(f'{title(case)}, {phase}\n\n{table([*group])}')
    return '\n\n'.join(parts) + '\n'


def title(case: Case) -> str:
    """Return the title of a case."""
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

    Times are median [first quartile, third quartile]. Ratios of times are
    taken within rounds, so that a slow spell of the machine cancels.

    Args:
        rows (Sequence[Row]): One row per form.
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


def to_json(rows: Iterable[Row], device: str, clock: str) -> dict:
    """Return all figures, for JSON.

    Args:
        rows (Iterable[Row]): The rows.
        device (str): The measured device.
        clock (str): Key of ``CLOCKS``.
    """
    about = dict(**machine(device), clock=clock)
    return dict(machine=about, rows=[row.to_dict() for row in rows])
