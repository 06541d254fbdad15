"""Colours, fonts and files of figures."""

from .figures import save_figure

__all__ = ['save_figure']
