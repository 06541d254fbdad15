"""Tell at import what is wrong with the OpenMMLab hosts, and how to mend it.

The original distributions and the maintained ones share their import names,
so that the wrong one fails late, deep inside, and with a sentence about
something else.
"""

from importlib import metadata
from typing import Dict, Mapping

#: Original distributions -> the maintained one with the same import name.
REPLACED = {
    'mmcv': 'onedl-mmcv',
    'mmcv-full': 'onedl-mmcv',
    'mmcv-lite': 'onedl-mmcv',
    'mmengine': 'onedl-mmengine',
    'mmengine-lite': 'onedl-mmengine',
    'mmsegmentation': 'onedl-mmsegmentation',
    'mmpretrain': 'onedl-mmpretrain',
    'mmcls': 'onedl-mmpretrain',
}
#: The distributions that the package builds on, in the order of their needs.
HOSTS = (
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmsegmentation',
    'onedl-mmpretrain',
)


def check_hosts(versions: Mapping[str, str]) -> None:
    """Check that the hosts are installed and that nothing hides them.

    Args:
        versions (Mapping[str, str]): Installed distributions, name ->
            version; names other than those of the hosts do not matter.

    Raises:
        ImportError: If an original OpenMMLab distribution is installed, or a
            host is missing. The sentence holds the commands that mend it.
    """
    old = [name for name in REPLACED if name in versions]
    if old:
        # Both wrote into the same folders, so removing the old one leaves the
        # new one with holes: both go, then the new one comes back.
        new = list(dict.fromkeys(REPLACED[name] for name in old))
        named = ', '.join(f'{name} {versions[name]}' for name in old)
        raise ImportError(
            f'mmdavpt needs {" and ".join(new)}, but {named} of the original '
            'OpenMMLab line is installed and has the same import names. Run '
            f'`pip uninstall -y {" ".join(old + new)}`, then '
            f'`pip install {" ".join(new)}`.'
        )
    missing = [name for name in HOSTS if name not in versions]
    if missing:
        raise ImportError(
            f'mmdavpt needs {", ".join(HOSTS)}, but {" and ".join(missing)} '
            f'is not installed. Run `pip install {" ".join(missing)}`.'
        )


def installed_versions() -> Dict[str, str]:
    """Return name -> version of the hosts and of what would hide them."""
    versions = {}
    for name in (*REPLACED, *HOSTS):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
