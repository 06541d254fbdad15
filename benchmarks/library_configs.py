"""Check every config that MMSegmentation and MMPretrain ship.

    nice python benchmarks/library_configs.py
    nice python benchmarks/library_configs.py --only lora

Each config goes through the preflight with data and weights treated as
missing. One that is rejected counts as ours if the libraries can build it
themselves. The state is kept in --state, so that a stopped run continues. The
exit code is 1 if a config is rejected that should pass.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(ROOT))

from mmengine.config import Config  # noqa: E402
from mmengine.registry import DATASETS, DefaultScope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from mmdavpt.checks import preflight  # noqa: E402
from mmdavpt.checks.fit import missing_weights  # noqa: E402
from mmdavpt.checks.names import read_config  # noqa: E402

PASSES = 'passes'
CANNOT_BUILD = 'the library cannot build it'
REJECTED = 'rejected by us'


def shipped_configs() -> list[Path]:
    """Return the configs of both packages, without their base files."""
    found = []
    for package in ('mmseg', 'mmpretrain'):
        folder = Path(find_spec(package).origin).parent / '.mim/configs'
        found += sorted(
            path
            for path in folder.rglob('*.py')
            if '_base_' not in path.parts and path.name != 'metafile.py'
        )
    return found


def check(path: Path) -> tuple[str, str]:
    """Check one config.

    Args:
        path (Path): The config file.

    Returns:
        tuple[str, str]: The outcome, and the sentence of one that fails.
    """
    try:
        cfg = read_config(str(path))
        cfg.setdefault('work_dir', 'work_dirs')
        without_amp(cfg)
        checks = {*preflight.TRAINING_ERRORS} - {missing_weights}
        with patch.object(preflight, 'TRAINING_ERRORS', tuple(checks)):
            training = cfg.get('train_dataloader') is not None
            preflight.preflight(cfg, training)
    except Exception as error:  # a crash of ours counts as well
        reason = library_failure(path)
        if reason is None:
            return REJECTED, f'{type(error).__name__}: {error}'
        return CANNOT_BUILD, reason
    return PASSES, ''


def without_amp(cfg: Config) -> None:
    """Make a config build without a GPU.

    Args:
        cfg (Config): The config, changed in place.
    """
    if 'Amp' in str((cfg.get('optim_wrapper') or {}).get('type')):
        cfg.optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(key, None)


def library_failure(path: Path) -> str | None:
    """Return why mmengine's runner cannot be built from a config.

    Args:
        path (Path): The config file.

    Returns:
        str | None: None if it can, with an optimizer and lazy datasets.
    """
    DefaultScope._instance_dict.clear()
    with tempfile.TemporaryDirectory() as folder:
        try:
            cfg = Config.fromfile(path)
            cfg.work_dir, cfg.load_from = folder, None
            cfg.experiment_name = Path(folder).name
            if cfg.get('visualizer') is not None:  # else a singleton
                cfg.visualizer.name = cfg.experiment_name
            without_amp(cfg)
            runner = Runner.from_cfg(cfg)
            if runner.optim_wrapper is not None:
                runner.build_optim_wrapper(runner.optim_wrapper)
            if cfg.get('train_cfg') is not None:
                runner._train_dataloader = DataLoader([0])
                runner.build_train_loop(cfg.train_cfg)
            for split in ('train', 'val', 'test'):
                if cfg.get(f'{split}_evaluator') is not None:
                    runner.build_evaluator(cfg[f'{split}_evaluator'])
                loader = cfg.get(f'{split}_dataloader')
                if loader is not None and DATASETS.get(loader.dataset.type):
                    DATASETS.build(dict(loader.dataset, lazy_init=True))
        except OSError:
            return None  # data
        except Exception as error:
            return f'{type(error).__name__}: {error}'[:300]
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Check the configs and write the counts.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int: The exit code.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--only', default='', help='part of a path')
    parser.add_argument('--state', default='/tmp/library_configs_state.json')
    parser.add_argument(
        '--out', default=str(ROOT / 'benchmarks/results/library_configs.json')
    )
    args = parser.parse_args(argv)
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    state = Path(args.state)
    done = json.loads(state.read_text()) if state.is_file() else {}
    for path in shipped_configs():
        name = '/'.join(path.parts[path.parts.index('.mim') - 1 :])
        if args.only not in name or done.get(name, [REJECTED])[0] != REJECTED:
            continue
        with redirect_stdout(sys.stderr):
            done[name] = check(path)
        state.write_text(json.dumps(done))
        if done[name][0] == REJECTED:
            print(f'{name}: {done[name][1]}', flush=True)
    counts = Counter(outcome for outcome, _ in done.values())
    failures = {n: why for n, (o, why) in done.items() if o == REJECTED}
    reasons = Counter(why[:120] for o, why in done.values() if why)
    reasons -= Counter(why[:120] for why in failures.values())
    results = {
        'counts': counts,
        REJECTED: failures,
        CANNOT_BUILD: dict(reasons.most_common()),
    }
    out = Path(args.out)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + '\n')
    print(json.dumps(counts))
    return int(counts[REJECTED] > 0)


if __name__ == '__main__':
    raise SystemExit(main())
