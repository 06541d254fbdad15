"""Configs, tools and tiny weights that come with the package.

They are in ``mmdavpt/.mim``, where OpenMMLab's packages have theirs: as links
to a clone's folders, or as files of an installed wheel. A config's name is
``mmdavpt::`` and its path, such as ``mmdavpt::recommended/classification.py``.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / '.mim'
CONFIGS = (FOLDER / 'configs').resolve()
TOOLS = (FOLDER / 'tools').resolve()
PREFIX = 'mmdavpt::'


def locate_config(name: str) -> str:
    """Return the path of a config or an experiment table.

    Args:
        name (str): A path, returned as it is, or ``mmdavpt::`` and a path
            relative to the shipped ``configs/``.
    """
    if not name.startswith(PREFIX):
        return name
    return str(CONFIGS / name.removeprefix(PREFIX))


def register_configs() -> None:
    """Let mmengine and MMPretrain find the shipped configs by name.

    The commands call it. Afterwards ``_base_ = 'mmdavpt::...'``,
    :func:`mmengine.hub.get_config`, :func:`mmpretrain.list_models` and
    :func:`mmpretrain.get_model` accept them.

    mmengine would build what it inherits from another package in that
    package's scope, in which ``type='LinearClsHead'`` is unknown: so bases of
    this package are found as if they were named by their path.
    """
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE
    from mmpretrain.apis.model import ModelHub

    if 'mmdavpt' in MODULE2PACKAGE:
        return
    MODULE2PACKAGE['mmdavpt'] = 'mmdavpt'
    ModelHub.register_model_index(FOLDER / 'model-index.yml', FOLDER)
    find = Config._get_cfg_path

    def find_ours(path: str, filename: str) -> tuple[str, str | None]:
        if path.startswith(PREFIX):
            return locate_config(path), None
        return find(path, filename)

    Config._get_cfg_path = staticmethod(find_ours)
