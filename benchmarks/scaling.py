"""Measure how costs grow with classes, prompts, pixels and processes.

``python benchmarks/scaling.py --out scaling.json`` prints the tables and
writes the figures and a plot next to them. Operations and bytes are counted;
clustering and processes are timed on this machine's CPU.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from matplotlib.figure import Figure  # noqa: E402

from benchmarks.speed import communication, growth, report  # noqa: E402
from benchmarks.speed.cases import Case  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from tools.visualization.figures import save_figure  # noqa: E402

PARTS = ('classes', 'prompts', 'size', 'processes', 'bytes')
#: Bytes per second between machines (200 Gbit/s), the slowest link of a ring.
LINK = 25e9


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('--parts', nargs='+', choices=PARTS, default=PARTS)
    add('--model', default='vit-b', help='the model to count')
    add(
        '--process-model',
        default='vit-deit-tiny',
        help='the model to train with one and two processes',
    )
    classes = [20, 100, 200, 1000, 3000, 10_000]
    add('--classes', nargs='+', type=int, default=classes)
    add('--prompts', nargs='+', type=int, default=[5, 20, 50, 100, 200])
    add('--sizes', nargs='+', type=int, default=[224, 384, 512, 768, 1024])
    add('--rounds', type=int, default=3)
    add('--out', type=Path, metavar='FILE.json', help='file for the figures')
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> dict[str, list[dict]]:
    """Return the rows of each part of ``--parts``.

    Args:
        args (argparse.Namespace): The command line.
    """
    case = Case(args.model)
    found = {}
    if 'classes' in args.parts:
        found['classes'] = growth.grow_classes(
            args.classes, args.prompts, rounds=args.rounds
        )
    if 'prompts' in args.parts:
        found['prompts'] = growth.grow_prompts(case, args.prompts)
    if 'size' in args.parts:
        found['size'] = growth.grow_size(case, args.sizes)
    if 'processes' in args.parts:
        found['processes'] = grow_processes(
            Case(args.process_model), 4 * args.rounds
        )
    if 'bytes' in args.parts:
        found['bytes'] = count_bytes(args.classes, case)
    return found


def grow_processes(case: Case, rounds: int) -> list[dict]:
    """Time training with one and two processes, each with its own batch.

    Args:
        case (Case): The case, with the batch of a process.
        rounds (int): Timed steps.
    """
    rows = []
    for processes in (1, 2):
        run = communication.run_processes(case, processes, rounds)
        step = statistics.median(run['seconds'])
        rows.append(
            dict(
                processes=processes,
                step_ms=1e3 * step,
                cpu_ms=1e3 * statistics.median(run['cpu']),
                images_per_second=processes * case.batch / step,
                summed_bytes=run['sent'],
            )
        )
    return rows


def count_bytes(classes: Sequence[int], case: Case) -> list[dict]:
    """Return the bytes that a step sums, and the time of an ideal ring.

    Args:
        classes (Sequence[int]): The numbers of classes.
        case (Case): Everything else.
    """
    rows = []
    for num_classes in classes:
        parts = communication.bytes_of(replace(case, classes=num_classes))
        total = sum(parts.values())
        row = dict(classes=num_classes, **parts, total=total)
        for nodes in (1, 2, 8):
            seconds = communication.ring_seconds(total, 8 * nodes, LINK)
            row[f'ms on {nodes} x 8'] = 1e3 * seconds
        rows.append(row)
    return rows


def to_markdown(rows: Sequence[Mapping]) -> str:
    """Return rows with the same keys as a table.

    Args:
        rows (Sequence[Mapping]): The rows.
    """
    lines = [
        '| ' + ' | '.join(str(key) for key in rows[0]) + ' |',
        '|' + ' --- |' * len(rows[0]),
    ]
    for row in rows:
        cells = [
            f'{x:,}' if isinstance(x, int) else f'{x:,.4g}'
            for x in row.values()
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def plot(found: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Draw how costs grow, a panel for each part.

    Args:
        found (Mapping): What :func:`measure` returned.
    """
    parts = [part for part in ('classes', 'prompts', 'size') if part in found]
    figure = Figure(figsize=(4.2 * len(parts), 3.4), layout='constrained')
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for panel, part in zip(panels, parts, strict=True):
        rows = found[part]
        panel.set(xscale='log', yscale='log')
        if part == 'classes':
            _plot_classes(panel, rows)
            continue
        x = [row[part] for row in rows]
        for form in ('davpt', 'concatenated'):
            panel.plot(
                x, [row[f'{form}_gflop'] for row in rows], 'o-', label=form
            )
        panel.set(
            xlabel='prompts' if part == 'prompts' else 'pixels of a side',
            ylabel='GFLOP an image, training',
        )
        panel.legend()
    return figure


def _plot_classes(panel, rows: Sequence[Mapping]) -> None:
    for prompts in sorted({row['prompts'] for row in rows}):
        chosen = [row for row in rows if row['prompts'] == prompts]
        panel.plot(
            [row['classes'] for row in chosen],
            [row['again'] for row in chosen],
            'o-',
            label=f'{prompts} prompts',
        )
    panel.set(xlabel='classes', ylabel='k-means from the last, seconds')
    panel.legend()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write them with a plot."""
    args = parse_args(argv)
    with exit_with_sentence():
        found = measure(args)
    for part, rows in found.items():
        print(f'## {part}\n\n{to_markdown(rows)}\n')
    if args.out is not None:
        content = dict(machine=report.machine('cpu'), **found)
        args.out.write_text(json.dumps(content, indent=1) + '\n')
        if {'classes', 'prompts', 'size'} & set(found):
            save_figure(plot(found), str(args.out.with_suffix('.png')))


if __name__ == '__main__':
    main()
