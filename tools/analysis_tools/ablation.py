"""Run the ablations on the embedded tasks, and write their tables.

``python tools/analysis_tools/ablation.py STUDY``: every row of a study with
several seeds. ``paper`` has the rows of the paper's Tables 4 and 7 on glyph
classification, ``causes`` asks when guidance changes anything, ``scenes``
compares the labels of guidance on glyph scenes. A run that is done keeps its
result in the work folder, so a stopped command goes on where it was, and
studies share what they have in common. ``--list`` shows the rows,
``--report`` writes the table of what is done.
"""

import argparse
import hashlib
import json
import logging
import math
import multiprocessing
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from studies import CONFIGS, STUDIES, Study  # noqa: E402

from mmdavpt.cli import common as cli  # noqa: E402
from tools.dataset_converters.glyph_writers import write_scenes_ade20k  # noqa: E402

#: Test scenes: many, since a class covers a hundredth of one.
NUM_SCENES = {'training': 800, 'validation': 240}
SCENE_SIZE = (64, 96)


def options_of(study: Study, row: str, seed: int, further: Mapping) -> dict:
    """Return all that a run changes of its study's config.

    Args:
        study (Study): The study.
        row (str): One of its rows.
        seed (int): The seed.
        further (Mapping): Options beside those of the row.
    """
    return {
        **study.common,
        **study.rows[row],
        **further,
        'randomness.seed': seed,
    }


def result_path(work_dir: Path, config: str, options: Mapping) -> Path:
    """Return where the result of a run is kept.

    The name depends on config and options alone, so that studies share runs.

    Args:
        work_dir (Path): The work folder.
        config (str): The config's file name.
        options (Mapping): See :func:`options_of`.
    """
    text = json.dumps([config, options], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return work_dir / f'{Path(config).stem}_{digest}.json'


def kept(path: Path) -> float | None:
    """Return the metric of a run that is done, else None."""
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding='utf-8'))['result']


def run(task: tuple[Path, str, dict, str, Path]) -> None:
    """Train and test one row with one seed, and keep the result.

    Args:
        task (Tuple[Path, str, dict, str, Path]): Work folder, config,
            options, metric, and the folder of the scenes.
    """
    from mmengine.runner import Runner

    work_dir, config, options, metric, scenes = task
    path = result_path(work_dir, config, options)
    if kept(path) is not None:
        return
    cfg = cli.load_config(str(CONFIGS / config), options)
    if config.startswith('setr'):
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            loader.dataset.data_root = str(scenes)
    cfg.work_dir = str(path.with_suffix(''))
    cfg.experiment_name = path.stem
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=-1, save_last=False
    )
    cfg.log_level = logging.ERROR
    runner = Runner.from_cfg(cfg)
    runner.train()
    metrics = runner.test()
    trained = sum(
        p.numel() for p in runner.model.parameters() if p.requires_grad
    )
    content = dict(
        config=config,
        options=options,
        trained=trained,
        metric=metric,
        result=float(metrics[metric]),
    )
    temporary = path.with_suffix('.tmp')
    temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
    temporary.replace(path)


def collect(
    work_dir: Path, study: Study, seeds: Sequence[int], further: Mapping
) -> dict[str, dict[int, float]]:
    """Return the metric of each row and seed that is done.

    Args:
        work_dir (Path): The work folder.
        study (Study): The study.
        seeds (Sequence[int]): The seeds.
        further (Mapping): Options beside those of the rows.
    """
    found: dict[str, dict[int, float]] = {}
    for row in study.rows:
        for seed in seeds:
            options = options_of(study, row, seed, further)
            result = kept(result_path(work_dir, study.config, options))
            if result is not None:
                found.setdefault(row, {})[seed] = result
    return found


def spread(values: Sequence[float]) -> str:
    """Return mean and sample standard deviation, such as '50.5 ± 0.3'."""
    if len(values) < 2:
        return f'{values[0]:.1f}'
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}'


def paired_difference(
    scores: Mapping[int, float], base: Mapping[int, float]
) -> tuple[str, str]:
    """Return mean ± deviation of the paired differences, and their t.

    The differences are of runs with the same seed, so of the same order of
    images and the same start of what both train. ``t`` is their mean over its
    standard error. The 95 % bound of no difference (Student's t) is 2.8 with
    five seeds and 4.3 with three.

    Args:
        scores (Mapping[int, float]): Seed to metric.
        base (Mapping[int, float]): The same of the base.
    """
    paired = [scores[seed] - base[seed] for seed in scores if seed in base]
    if not paired:
        return '', ''
    mean = statistics.mean(paired)
    if len(paired) == 1:
        return f'{mean:+.1f}', ''
    deviation = statistics.stdev(paired)
    error = deviation / math.sqrt(len(paired))
    return (
        f'{mean:+.1f} ± {deviation:.1f}',
        f'{mean / error:.1f}' if error else '',
    )


def table(study: Study, results: Mapping[str, Mapping[int, float]]) -> str:
    """Return a Markdown table of a study.

    Args:
        study (Study): The study.
        results (Mapping[str, Mapping[int, float]]): Row to seed to metric.
    """
    lines = [
        f'| row | seeds | {study.name} | difference to its base | t |',
        '|---|---|---|---|---|',
    ]
    for row, scores in results.items():
        base = results.get(study.base_of(row), {})
        cells = (
            row,
            str(len(scores)),
            spread(list(scores.values())),
            *paired_difference(scores, base),
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def write_scenes(folder: Path) -> None:
    """Write the scenes of the study on segmentation, unless they are there.

    Args:
        folder (Path): Where to.
    """
    for seed, (split, number) in enumerate(NUM_SCENES.items()):
        write_scenes_ade20k(folder, split, number, seed, size=SCENE_SIZE)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('study', choices=STUDIES)
    parser.add_argument('--rows', nargs='+', metavar='ROW')
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
        '--length',
        type=int,
        help='epochs or iterations of shorter runs, to try the command',
    )
    args = parser.parse_args(argv)
    rows = STUDIES[args.study].rows
    unknown = set(args.rows or ()) - set(rows)
    if unknown:
        parser.error(
            f'--rows: {args.study} has no {sorted(unknown)}; its rows are '
            + ', '.join(map(repr, rows))
        )
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not done, and print the table."""
    args = parse_args(argv)
    study = STUDIES[args.study]
    if args.list:
        for row, change in study.rows.items():
            print(f'{row}: {change}')
        return
    further = {}
    if args.length is not None:
        unit = 'iters' if study is STUDIES['scenes'] else 'epochs'
        further = {
            f'train_cfg.max_{unit}': args.length,
            'param_scheduler.1.begin': 0,
        }
    if not args.report:
        scenes = args.work_dir / 'scenes'
        if study is STUDIES['scenes']:
            write_scenes(scenes)
        # By seeds first, so that a stop leaves every row with some.
        tasks = [
            (
                args.work_dir,
                study.config,
                options_of(study, row, seed, further),
                study.metric,
                scenes,
            )
            for seed in args.seeds
            for row in args.rows or study.rows
        ]
        with multiprocessing.get_context('spawn').Pool(args.workers) as pool:
            for done, _ in enumerate(pool.imap(run, tasks, chunksize=1), 1):
                print(f'{done}/{len(tasks)}', file=sys.stderr)
    print(f'{study.title}\n')
    print(table(study, collect(args.work_dir, study, args.seeds, further)))


if __name__ == '__main__':
    main()
