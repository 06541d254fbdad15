"""Run the paper's ablations on the embedded task, and write the table.

``python tools/analysis_tools/ablation.py``: every row of the paper's Tables 4
and 7 that can be run on glyphs, with several seeds each. A run that is done
keeps its result in the work folder, so a stopped command goes on where it
was. ``--list`` shows the rows, ``--report`` writes the table of what is done.
"""

import argparse
import json
import logging
import math
import multiprocessing
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(ROOT))

from mmengine.runner import Runner  # noqa: E402

from mmdavpt.utils import cli  # noqa: E402

CONFIG = ROOT / 'configs' / 'glyphs' / 'davpt_glyphs.py'
TOKEN, CLS = (
    f'model.guidance.loss.{term}_weight' for term in ('token', 'cls')
)
BIAS = {'model.backbone.bias': ['k', 'v']}

#: Name of each row -> what it changes of the config. The first is the base
#: that all others are compared with.
ROWS: dict[str, dict] = {
    'VPT (base)': {'model.guidance': None},
    'token': {CLS: 0},
    'cls': {TOKEN: 0},
    'token, cls (DA-VPT)': {},
    'bias': {'model.guidance': None, **BIAS},
    'token, bias': {CLS: 0, **BIAS},
    'cls, bias': {TOKEN: 0, **BIAS},
    'token, cls, bias (DA-VPT+)': {**BIAS},
    'DA-VPT+Conn': {'model.backbone.propagate': 'sum'},
    'DA-VPT+Gate': {'model.backbone.propagate': 'gate'},
    'DA-VPT (Proxy-NCA)': {'model.guidance.loss.metric': 'proxy_nca'},
    'DA-VPT (triplet)': {'model.guidance.loss.metric': 'triplet'},
    'DA-VPT (released code)': {'model.guidance.loss.preset': 'released'},
}


def result_path(work_dir: Path, row: str, seed: int) -> Path:
    """Return where the result of a run is kept."""
    name = ''.join(c if c.isalnum() else '_' for c in row).strip('_').lower()
    return work_dir / name / f'seed_{seed}.json'


def kept(path: Path, options: dict) -> dict | None:
    """Return a result that was kept, if it is of these options."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    return content if content['options'] == options else None


def run(task: tuple[Path, str, int, dict]) -> None:
    """Train and test one row with one seed, and keep the result.

    Args:
        task (Tuple[Path, str, int, dict]): Work folder, row, seed and
            further options.
    """
    work_dir, row, seed, further = task
    path = result_path(work_dir, row, seed)
    options = {**ROWS[row], **further, 'randomness.seed': seed}
    if kept(path, options) is not None:
        return
    cfg = cli.load_config(str(CONFIG), options)
    cfg.work_dir = str(path.with_suffix(''))
    cfg.experiment_name = f'{path.parent.name}_{seed}'
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=-1)
    cfg.log_level = logging.ERROR
    runner = Runner.from_cfg(cfg)
    runner.train()
    metrics = runner.test()
    trained = sum(
        p.numel() for p in runner.model.parameters() if p.requires_grad
    )
    content = dict(
        row=row,
        seed=seed,
        options=options,
        trained=trained,
        top1=metrics['accuracy/top1'],
    )
    temporary = path.with_suffix('.tmp')
    temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
    temporary.replace(path)


def collect(
    work_dir: Path, seeds: Sequence[int], further: dict
) -> dict[str, dict[int, float]]:
    """Return the top-1 of each row and seed that is done.

    Args:
        work_dir (Path): The work folder.
        seeds (Sequence[int]): The seeds.
        further (dict): Options beside those of the rows.
    """
    found: dict[str, dict[int, float]] = {}
    for row in ROWS:
        for seed in seeds:
            options = {**ROWS[row], **further, 'randomness.seed': seed}
            content = kept(result_path(work_dir, row, seed), options)
            if content is not None:
                found.setdefault(row, {})[seed] = content['top1']
    return found


def spread(values: Sequence[float]) -> str:
    """Return mean and sample standard deviation, such as '50.5 ± 0.3'."""
    if len(values) < 2:
        return f'{values[0]:.1f}'
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}'


def table(results: Mapping[str, Mapping[int, float]]) -> str:
    """Return a Markdown table of the rows against the first of ``ROWS``.

    The difference is paired: of runs with the same seed, so the same order
    of images and the same start of what both train. ``t`` is its mean over
    its standard error; with five seeds, 2.8 is the 95 % bound of no
    difference (Student's t, 4 degrees of freedom).

    Args:
        results (Mapping[str, Mapping[int, float]]): Row to seed to top-1.
    """
    base = results.get(next(iter(ROWS)), {})
    lines = [
        '| row | seeds | top-1 | difference to the base | t |',
        '|---|---|---|---|---|',
    ]
    for row, scores in results.items():
        paired = [scores[seed] - base[seed] for seed in scores if seed in base]
        difference, t = '', ''
        if scores is not base and paired:
            difference = f'{statistics.mean(paired):+.1f}'
            if len(paired) > 1:
                deviation = statistics.stdev(paired)
                difference += f' ± {deviation:.1f}'
                error = deviation / math.sqrt(len(paired))
                t = f'{statistics.mean(paired) / error:.1f}' if error else ''
        lines.append(
            f'| {row} | {len(scores)} | {spread(list(scores.values()))} '
            f'| {difference} | {t} |'
        )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), metavar='ROW')
    parser.add_argument('--seeds', nargs='+', type=int, default=[*range(5)])
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/ablation')
    )
    parser.add_argument(
        '--workers', type=int, default=1, help='runs at the same time'
    )
    parser.add_argument('--list', action='store_true', help='show the rows')
    parser.add_argument(
        '--report', action='store_true', help='only print the table'
    )
    parser.add_argument(
        '--epochs', type=int, help='shorter runs, to try the command'
    )
    args = parser.parse_args(argv)
    if args.list:
        print('\n'.join(f'{row}: {change}' for row, change in ROWS.items()))
        return
    further = {}
    if args.epochs is not None:
        further = {
            'train_cfg.max_epochs': args.epochs,
            'param_scheduler.1.end': args.epochs,
        }
    if not args.report:
        # By seeds first, so that a stop leaves every row with some.
        tasks = [
            (args.work_dir, row, seed, further)
            for seed in args.seeds
            for row in args.rows or ROWS
        ]
        with multiprocessing.get_context('spawn').Pool(args.workers) as pool:
            for done, _ in enumerate(pool.imap(run, tasks, chunksize=1), 1):
                print(f'{done}/{len(tasks)}', file=sys.stderr)
    print(table(collect(args.work_dir, args.seeds, further)))


if __name__ == '__main__':
    main()
