"""Fault tolerance: skip non-finite steps and broken files."""
