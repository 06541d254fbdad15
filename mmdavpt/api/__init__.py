"""Models without configs or runners; ``mmdavpt`` has these functions, too."""

from .create import create_model
from .model_file import load_model, save_model
from .multi_task import MultiTaskModel
from .tuned_model import trainable_parameters
