"""``python -m mmdavpt``: the ``mmdavpt`` command."""

from mmdavpt.cli.__main__ import main

if __name__ == '__main__':
    raise SystemExit(main())
