"""The hook that draws a model during its training."""

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import Dataset

from mmdavpt.errors import UsageError, check_number
from mmdavpt.models.backbones import PromptedBackbone
from mmdavpt.randomness import isolated_randomness
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

from .attention import compare_attention
from .mapping import mapping_figure
from .pictures import load_examples
from .projection import draw_classes


@HOOKS.register_module()
class FigureHook(Hook):
    """Give the visualizer pictures of attention, mapping and classes.

    All backends of the visualizer get them: TensorBoard, or the files
    ``*/vis_data/vis_image/{attention,mapping,classes}_STEP.png`` of
    ``LocalVisBackend``. Images are those of the validation set, or without
    one of the training set. Classes are those of a classifier, in a plane.

    Args:
        interval (int): Epochs between two drawings, or iterations of a
            training that counts them. Defaults to 1.
        num_images (int): Images with attention, evenly spread over the set.
            Defaults to 4.

    Raises:
        UsageError: If a number is below 1.
    """

    # After the mapping is refreshed.
    priority = 'LOW'

    def __init__(self, interval: int = 1, num_images: int = 4) -> None:
        check_number('FigureHook: `interval`', interval, least=1)
        check_number('FigureHook: `num_images`', num_images, least=1)
        self.interval, self.num_images = interval, num_images
        self._mappings: list[tuple[str, list[int]]] = []

    def before_train(self, runner: Runner) -> None:
        """Keep the first mapping.

        Raises:
            UsageError: If the backbone has no attention that can be drawn.
        """
        model = unwrap(runner.model)
        if not isinstance(model.backbone, PromptedBackbone):
            name = type(model.backbone).__name__
            raise UsageError(f'FigureHook needs a prompted ViT, not a {name}')
        title = 'when resumed' if runner._resume else 'at the start'
        self._keep_mapping(model, title)

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw in epoch-based loops."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._draw_if_due(runner, 'epoch', runner.epoch + 1)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Draw in iteration-based loops."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._draw_if_due(runner, 'iteration', runner.iter + 1)

    @master_only
    def _draw_if_due(self, runner: Runner, unit: str, step: int) -> None:
        if step % self.interval:
            return
        # The default font lacks Chinese, Japanese and Korean.
        fonts = {f.name for f in fontManager.ttflist if 'CJK' in f.name}
        style = {'font.family': ['DejaVu Sans', *sorted(fonts)]}
        data = (runner.val_loop or runner.train_loop).dataloader.dataset
        model = unwrap(runner.model)
        training = model.training
        model.eval()
        try:
            # A training set may draw random crops.
            with isolated_randomness(0), rc_context(style):
                self._keep_mapping(model, f'{unit} {step}')
                for name, figure in self._figures(model, data).items():
                    canvas = FigureCanvasAgg(figure)
                    canvas.draw()
                    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
                    runner.visualizer.add_image(name, pixels, step)
        except Exception as error:  # no reason to end a training
            text = f'FigureHook: no figures of {unit} {step}: {error!r}'
            runner.logger.warning(text)
        model.train(training)

    def _keep_mapping(self, model: nn.Module, title: str) -> None:
        if getattr(model, 'guidance', None) is not None:
            self._mappings += [(title, model.guidance.mapping.tolist())]

    def _figures(self, model: nn.Module, data: Dataset) -> dict[str, Figure]:
        classes = data.metainfo['classes']
        labels = list(getattr(data, 'get_gt_labels', list)())
        shown = np.linspace(0, len(data) - 1, self.num_images, dtype=int)
        known = [labels[i] if labels else None for i in shown]
        figure = compare_attention({'': (model, data)}, shown, known, classes)
        figures = dict(attention=figure)
        if times := self._mappings[:1] + self._mappings[-1:]:
            pictures = load_examples(model, data, labels)
            rows = model.guidance.num_prompts
            figures['mapping'] = mapping_figure(classes, times, pictures, rows)
        if figure := draw_classes(model, data, labels):
            figures['classes'] = figure
        return figures
