"""VTAB-1k: reader, and what writes its layout from the originals."""

from .dataset import VTAB1k
from .tasks import SPLITS, TASKS, VTABTask, folder_of, task_from

__all__ = ['SPLITS', 'TASKS', 'VTAB1k', 'VTABTask', 'folder_of', 'task_from']
