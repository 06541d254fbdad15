"""Checks of the datasets of a config: their folders, files and labels."""
