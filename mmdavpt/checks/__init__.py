"""Preflight checks: find mistakes in config and data before a run starts."""
