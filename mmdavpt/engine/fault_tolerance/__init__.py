"""Fault tolerance: report or skip broken files."""
