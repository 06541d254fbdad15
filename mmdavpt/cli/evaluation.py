"""Apply the flags of ``test.py`` to a config."""

import copy
import os
import os.path as osp

from mmengine.config import Config, ConfigDict

from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError, prefix_errors


def is_segmentation(cfg: Config) -> bool:
    """Return whether a config runs in MMSegmentation, not MMPretrain."""
    return cfg.get('default_scope') == 'mmseg'


def write_predictions(cfg: Config, out: str) -> None:
    """Write the predictions of a test to a file or folder.

    Args:
        cfg (Config): The config, changed in place.
        out (str): For segmentation, a folder of PNG label maps. For
            classification, a .pkl file of predictions; the test itself
            writes a .json file of metrics.

    Raises:
        UsageError: If ``out`` does not fit the task.
    """
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    suffix = osp.splitext(out)[1]
    if is_segmentation(cfg):
        writers = [e for e in evaluators if e.type == 'IoUMetric']
        if not writers or suffix in ('.pkl', '.pickle', '.json'):
            raise UsageError(
                '--out of a segmentation config is a folder, which the '
                '`IoUMetric` of `test_evaluator` fills with label maps, but '
                f'got {out} and evaluators {[e.type for e in evaluators]}'
            )
        writers[0].output_dir = out
        # The metric creates it on rank 0 only, and other ranks do not wait.
        with prefix_errors('--out cannot be written', OSError):
            os.makedirs(out, exist_ok=True)
    elif suffix in ('.pkl', '.pickle'):
        dump = ConfigDict(type='DumpResults', out_file_path=out)
        cfg.test_evaluator = [*evaluators, dump]
    elif suffix != '.json':
        raise UsageError(
            '--out of a classification config is a file that ends in .pkl '
            f'(predictions) or .json (metrics), but got {out}'
        )


def draw_predictions(cfg: Config, folder: str) -> None:
    """Draw the predictions of a test into a folder.

    Args:
        cfg (Config): The config, changed in place. A visualization hook or
            visualizer that it lacks is added.
        folder (str): The folder of the pictures.
    """
    segmentation = is_segmentation(cfg)
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    if hooks.get('visualization') is None:
        name = 'SegVisualizationHook' if segmentation else 'VisualizationHook'
        hooks.visualization = ConfigDict(type=name)
    visualizer = ConfigDict(cfg.get('visualizer') or dict(type='Visualizer'))
    name = 'SegLocalVisualizer' if segmentation else 'UniversalVisualizer'
    # Those of mmengine and of the other library draw nothing.
    others = {'Visualizer', 'SegLocalVisualizer', 'UniversalVisualizer'}
    if str(visualizer.type).rpartition('.')[2] in others - {name}:
        visualizer.type = name
    if segmentation:
        hooks.visualization.draw = True
        backends = visualizer.get('vis_backends') or []
        if not any('LocalVisBackend' in b.type for b in backends):
            backends = [*backends, ConfigDict(type='LocalVisBackend')]
        visualizer.update(vis_backends=backends, save_dir=folder)
    else:
        hooks.visualization.update(enable=True, out_dir=folder, interval=1)
    cfg.visualizer = visualizer


def use_tta(cfg: Config) -> None:
    """Test with augmentation: average over several scales and flips.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        UsageError: If the config does not define the augmentations.
    """
    if 'tta_pipeline' not in cfg:
        raise UsageError(
            '--tta needs a `tta_pipeline` in the config, which lists the '
            'augmentations of `TestTimeAug`, but it has none'
        )
    tta_model = copy.deepcopy(cfg.get('tta_model')) or ConfigDict()
    theirs, ours = (
        ('mmseg.SegTTAModel', 'mmdavpt.RunningSegTTAModel')
        if is_segmentation(cfg)
        else ('mmpretrain.AverageClsScoreTTA', 'mmdavpt.LabelingClsTTAModel')
    )
    # Theirs score one-channel heads, or label images, wrongly.
    if tta_model.get('type') in (None, theirs, theirs.split('.')[1]):
        tta_model.type = ours
    # A data preprocessor of the TTA model replaces the model's own one.
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    tta_model.update(module=cfg.model, data_preprocessor=None)
    cfg.model = tta_model
    loader = cfg.test_dataloader
    for _, dataset in list(walk(loader.dataset)):
        if 'pipeline' in dataset:
            dataset.pipeline = copy.deepcopy(cfg.tta_pipeline)
