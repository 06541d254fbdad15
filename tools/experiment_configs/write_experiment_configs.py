"""Write the configs of the paper's classification experiments.

All come from two tables, ``configs/released_hparams.csv`` and
``configs/paper_results.csv``: a change of a rule is one edit beside this
file, and one run of it.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Dict

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiment_tables import (  # noqa: E402
    SUITES,
    experiments,
    read_results,
    with_tables,
)
from experiment_texts import (  # noqa: E402
    fgvc_base,
    leaf_text,
    plus_text,
    vtab_base,
)
from released_settings import (  # noqa: E402
    CONFIGS,
    WEIGHTS,
    read_released,
    settings_of,
)

from mmdavpt.datasets.fgvc.sets import SETS  # noqa: E402
from mmdavpt.datasets.vtab1k.tasks import TASKS  # noqa: E402


def all_files() -> Dict[str, str]:
    """Return the text of every file, by its path below ``configs``."""
    table, results = read_released(), read_results()
    files = {}
    for each in experiments():
        for weights in WEIGHTS:
            settings = settings_of(table, each.suite, weights, each.task)
            files[each.leaf(weights, 'davpt')] = leaf_text(
                results, each, weights, settings
            )
            files[each.leaf(weights, 'davpt-plus')] = plus_text(
                results, each, weights, settings
            )
    for task in TASKS.values():
        files[f'_base_/datasets/vtab1k/{task.name}.py'] = vtab_base(task)
    for each in SETS.values():
        files[f'_base_/datasets/fgvc/{each.name}.py'] = fgvc_base(each)
    for suite in SUITES:
        path = f'{suite}/README.md'
        text = (CONFIGS / path).read_text(encoding='utf-8')
        files[path] = with_tables(text, results, suite)
    return files


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Write the configs of the paper's classification "
        'experiments from the two tables in configs/.'
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; name the files that differ, and fail if any does',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write or check the files."""
    args = parse_args(argv)
    stale = []
    for path, text in all_files().items():
        place = CONFIGS / path
        if place.is_file() and place.read_text(encoding='utf-8') == text:
            continue
        stale.append(path)
        if not args.check:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding='utf-8')
    verb = 'differ' if args.check else 'written'
    print(f'{len(stale)} files {verb}', *stale, sep='\n')
    if args.check and stale:
        sys.exit(1)


if __name__ == '__main__':
    main()
