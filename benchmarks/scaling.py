"""Measure how costs grow with classes, prompts, pixels and processes.

``python benchmarks/scaling.py --out work_dirs/scaling`` writes the
tables, their figures as JSON, and a plot. Operations and bytes are counted;
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

from benchmarks.speed import (  # noqa: E402
    communication,
    report,
    scales,
)
from benchmarks.speed.cases import Case  # noqa: E402
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.visualization.figures import save_figure  # noqa: E402

PARTS = ('classes', 'prompts', 'size', 'processes', 'bytes')
#: Of 200 Gbit/s between machines, which is what a ring across them gets.
LINK = 25e9


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to those of
            this process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--model', default='vit-b', help='to count with')
    parser.add_argument(
        '--process-model',
        default='vit-deit-tiny',
        help='to train with one and two processes',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        type=int,
        default=[20, 100, 200, 1000, 3000, 10_000],
    )
    parser.add_argument(
        '--prompts', nargs='+', type=int, default=[5, 20, 50, 100, 200]
    )
    parser.add_argument(
        '--sizes', nargs='+', type=int, default=[224, 384, 512, 768, 1024]
    )
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/scaling'), help='folder'
    )
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> dict[str, list[dict]]:
    """Return the rows of each part that was asked for.

    Args:
        args (argparse.Namespace): The command line.
    """
    case = Case(args.model)
    found = {}
    if 'classes' in args.parts:
        found['classes'] = scales.grow_classes(
            args.classes, args.prompts, rounds=args.rounds
        )
    if 'prompts' in args.parts:
        found['prompts'] = scales.grow_prompts(case, args.prompts)
    if 'size' in args.parts:
        found['size'] = scales.grow_size(case, args.sizes)
    if 'processes' in args.parts:
        found['processes'] = grow_processes(
            Case(args.process_model), 4 * args.rounds
        )
    if 'bytes' in args.parts:
        found['bytes'] = on_paper(args.classes, case)
    return found


def grow_processes(case: Case, rounds: int) -> list[dict]:
    """Time training by one and by two processes, each with its own batch.

    Args:
        case (Case): The case, with the batch of a process.
        rounds (int): Steps that are timed.
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


def on_paper(classes: Sequence[int], case: Case) -> list[dict]:
    """Return the bytes that a step sums, and how long a ring takes for them.

    Args:
        classes (Sequence[int]): The numbers of classes.
        case (Case): All else.
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
    """Return rows of equal keys as a table.

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
    with cli.exit_with_sentence():
        found = measure(args)
    text = '\n\n'.join(
        f'## {part}\n\n{to_markdown(rows)}' for part, rows in found.items()
    )
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'scaling.md').write_text(text + '\n', encoding='utf-8')
    content = dict(machine=report.machine('cpu'), **found)
    (args.out / 'scaling.json').write_text(
        json.dumps(content, indent=1), encoding='utf-8'
    )
    if {'classes', 'prompts', 'size'} & set(found):
        save_figure(plot(found), str(args.out / 'scaling.png'))


if __name__ == '__main__':
    main()
