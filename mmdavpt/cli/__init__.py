"""Command line: ``mmdavpt train``, ``mmdavpt test``, and what they share."""
