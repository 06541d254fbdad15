"""Run a command, and report a mistake as one sentence; imports no torch."""

import os
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from mmdavpt.errors import UsageError, first_few
from mmdavpt.shipped import CONFIGS

from . import options


@contextmanager
def exit_with_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """Turn a :class:`UsageError` into one line on stderr and exit code 2.

    Args:
        *kinds (type[Exception]): Other errors to report this way, for small
            tools whose errors all come from their arguments.
    """
    try:
        yield
    except (UsageError, *kinds) as error:
        program = osp.basename(sys.argv[0])
        # A data loader's worker puts its traceback before the sentence.
        sentence = str(error).rpartition(f'{UsageError.__module__}.')[2]
        sentence = sentence.removeprefix(f'{UsageError.__name__}: ')
        sys.stderr.write(f'{program}: error: {sentence.strip()}\n')
        raise SystemExit(2) from None


def run_command(
    command: ModuleType, argv: Sequence[str] | None = None
) -> int | None:
    """Run a command; if it has a config, quietly and with checked paths.

    Args:
        command (ModuleType): A module of :mod:`mmdavpt.cli` with
            ``add_arguments(parser)`` and ``run(args)``.
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int | None: The exit status; None is 0.
    """
    args = options.parse_arguments(command.add_arguments, argv)
    with exit_with_sentence():
        if not hasattr(args, 'config'):
            return command.run(args)
        if not (hasattr(args, 'task') and osp.isdir(args.config)):
            check_config_exists(args.config)
        for name, use in (
            ('checkpoint', 'the checkpoint'),
            ('resume', 'the checkpoint to resume from'),
            ('weights', 'the file of --weights'),
        ):
            if getattr(args, name, None) not in (None, 'auto'):
                check_checkpoint_exists(getattr(args, name), use)
    if os.environ.get('RANK', '0') == '0':
        print(f'Loading {args.config} ...', flush=True)

    from torch.distributed.elastic.multiprocessing.errors import record

    from .console import quiet_console

    @record  # tells torchrun which process failed first, and how
    def run() -> int | None:
        with quiet_console(args.verbose), exit_with_sentence():
            from .launch import leave_process_group

            status = command.run(args)
            leave_process_group()
            return status

    return run()


def check_config_exists(path: str) -> None:
    """Check that a config file exists.

    Args:
        path (str): Path of the config file.

    Raises:
        UsageError: If it does not; the message suggests similar names.
    """
    if osp.isfile(path):
        return
    folder = Path(path).parent
    found = [*folder.glob('*.py')]
    found += [p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts]
    by_name = {p.name: p for p in reversed(found)}
    near = get_close_matches(Path(path).name, by_name, n=3, cutoff=0.5)
    hint = f'the configs are in {osp.relpath(CONFIGS)}'
    if near:
        paths = [osp.relpath(by_name[name]) for name in near]
        hint = f'similar ones are {", ".join(paths)}'
    what = 'the config' if Path(path).suffix else 'the config or folder'
    raise UsageError(f'{what} {path} does not exist; {hint}')


def check_checkpoint_exists(path: str, use: str) -> None:
    """Check that a checkpoint file exists.

    Args:
        path (str): Path or address of the checkpoint.
        use (str): Its purpose, as a noun phrase.

    Raises:
        UsageError: If it does not; the message lists those of its folder.
    """
    path = osp.expanduser(path)
    if '://' in path or osp.isfile(path):
        return
    folder = Path(path).parent
    files = [*folder.glob('*.pth'), *folder.glob('*.safetensors')]
    names = sorted(file.name for file in files)
    has = first_few(names, 5) if names else 'no checkpoint'
    where = f'its folder {folder} has {has}'
    raise UsageError(f'{use} {path} does not exist; {where}')
