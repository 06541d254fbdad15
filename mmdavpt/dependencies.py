"""Check at import that the right OpenMMLab packages are installed.

The original distributions and the maintained ones share their import names.
With the wrong one, imports fail late with an unrelated message.
"""

from collections.abc import Mapping
from importlib import metadata

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
#: Other distributions that matter together.
OTHERS = ('pycocotools', 'transformers')
#: The maintained distributions, each after those it needs.
REQUIRED = (
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmsegmentation',
    'onedl-mmpretrain',
)


def check_dependencies(versions: Mapping[str, str]) -> None:
    """Check that the maintained OpenMMLab packages are installed.

    Args:
        versions (Mapping[str, str]): Installed distributions, name ->
            version; other names are ignored.

    Raises:
        ImportError: If an original distribution is installed, a maintained
            one is missing, or MMPretrain cannot be imported. The message
            contains the commands to fix it.
    """
    old = [name for name in REPLACED if name in versions]
    if old:
        # Both write into the same folders, and removing the old one leaves
        # gaps in the new one: remove both, then install the new one.
        new = list(dict.fromkeys(REPLACED[name] for name in old))
        named = ', '.join(f'{name} {versions[name]}' for name in old)
        raise ImportError(
            f'mmdavpt needs {" and ".join(new)}, but {named} of the original '
            'OpenMMLab line is installed and has the same import names. Run '
            f'`pip uninstall -y {" ".join(old + new)}`, then '
            f'`pip install {" ".join(new)}`.'
        )
    missing = [name for name in REQUIRED if name not in versions]
    if missing:
        raise ImportError(
            f'mmdavpt needs {", ".join(REQUIRED)}, but '
            f'{" and ".join(missing)} is not installed. Run '
            f'`pip install {" ".join(missing)}`.'
        )
    if 'pycocotools' in versions and _major(versions, 'transformers') >= 5:
        raise ImportError(
            'MMPretrain cannot be imported with both pycocotools and '
            f'transformers {versions["transformers"]} installed. Run '
            "`pip uninstall -y pycocotools`, or `pip install 'transformers<5'`"
            ' if you use its multimodal models.'
        )


def _major(versions: Mapping[str, str], name: str) -> int:
    return int(versions.get(name, '0').partition('.')[0])


def installed_versions() -> dict[str, str]:
    """Return name -> version of the installed packages that matter here."""
    versions = {}
    for name in (*REPLACED, *REQUIRED, *OTHERS):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
