"""Reader of the 19 tasks of VTAB-1k."""

from .dataset import VTAB1k
from .tasks import SPLITS, TASKS, folder_of, task_from
