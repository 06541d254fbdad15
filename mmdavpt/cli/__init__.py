"""Command line: ``mmdavpt train``, ``mmdavpt test`` and others."""
