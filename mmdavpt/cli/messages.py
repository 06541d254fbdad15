"""Report a user's mistake as one sentence, without importing torch."""

import os.path as osp
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from mmdavpt.errors import UsageError, first_few

#: The configs of a clone.
CONFIGS = Path(__file__).parents[2] / 'configs'


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
    hint = (
        'similar ones are '
        + ', '.join(osp.relpath(by_name[name]) for name in near)
        if near
        else f'the configs are in {osp.relpath(CONFIGS)}'
    )
    raise UsageError(f'the config {path} does not exist; {hint}')


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
    hint = (
        f'its folder has {first_few(names, 5)}'
        if names
        else (f'its folder {folder} has no checkpoint')
    )
    raise UsageError(f'{use} {path} does not exist; {hint}')
