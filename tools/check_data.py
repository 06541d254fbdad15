"""Check all data: ``python tools/check_data.py CONFIG``."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli import check  # noqa: E402
from mmdavpt.cli.messages import run_command  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Make the data report: ``mmdavpt check --data-only``.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int: The exit status: 1 if the report has errors, else 0.
    """
    argv = sys.argv[1:] if argv is None else argv
    return run_command(check, [*argv, '--data-only'])


if __name__ == '__main__':
    raise SystemExit(main())
