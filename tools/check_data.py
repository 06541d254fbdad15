"""Check all data: ``python tools/check_data.py CONFIG``."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli.check_data import main  # noqa: E402

if __name__ == '__main__':
    raise SystemExit(main())
