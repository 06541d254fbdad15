"""Train a model: ``python tools/train.py CONFIG``."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli import train  # noqa: E402
from mmdavpt.cli.messages import run_command  # noqa: E402

if __name__ == '__main__':
    run_command(train)
