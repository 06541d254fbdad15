"""The hook of tests that keeps predictions apart."""

import copy
import os.path as osp
from collections.abc import Callable, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.engine import VisualizationHook


def distinct_names(paths: Sequence[str]) -> dict[str, str]:
    """Return names for images of which some would share a file of results.

    Args:
        paths (Sequence[str]): The paths of the images.

    Returns:
        dict[str, str]: By path: its path inside the common folder, on one
        level, such as 'red_0.png' for red/0.jpg. Empty if the names without
        folder and extension are distinct already.
    """
    stems = [osp.splitext(path)[0] for path in paths]
    if len(set(map(osp.basename, stems))) == len(paths):
        return {}
    folder = osp.commonpath(map(osp.dirname, stems))
    names = [osp.relpath(s, folder).replace(osp.sep, '_') for s in stems]
    if len(set(names)) < len(names):  # as of a_b/0.jpg and a/b_0.jpg
        names = [f'{i}_{name}' for i, name in enumerate(names)]
    return {p: f'{name}.png' for p, name in zip(paths, names, strict=True)}


class DistinctNamesHook(Hook):
    """Keep predictions apart whose images have equal names in other folders.

    MMPretrain's pictures and the label maps of MMSegmentation's metrics take
    the name of the image file, so that all ``CLASS/0.jpg`` share one file.
    """

    def before_test(self, runner: Runner) -> None:
        """Rename the images that the writers of predictions see."""
        drawing = [h for h in runner.hooks if isinstance(h, VisualizationHook)]
        writers = [(hook, '_draw_samples') for hook in drawing if hook.enable]
        for metric in runner.test_evaluator.metrics:
            if getattr(metric, 'output_dir', None) is not None:
                writers.append((metric, 'process'))
        if not writers:
            return
        dataset = runner.test_dataloader.dataset
        infos = map(dataset.get_data_info, range(len(dataset)))
        # Images without a file are named by their number.
        paths = [i['img_path'] for i in infos if 'img_path' in i]
        names = distinct_names([*dict.fromkeys(paths)])
        for writer, method in writers if names else ():
            setattr(writer, method, _renaming(getattr(writer, method), names))


def _renaming(write: Callable, names: dict[str, str]) -> Callable:
    """Wrap a method whose last argument by place is a list of samples."""

    def write_renamed(*args, **kwargs) -> None:
        *others, samples = args
        renamed = []
        for sample in samples:
            sample = copy.copy(sample)
            # The evaluator gives dicts, hooks get data samples.
            is_dict = isinstance(sample, dict)
            update = sample.update if is_dict else sample.set_metainfo
            update(dict(img_path=names[sample.get('img_path')]))
            renamed.append(sample)
        write(*others, renamed, **kwargs)

    return write_renamed
