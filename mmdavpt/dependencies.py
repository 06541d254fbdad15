"""Check at import that the right OpenMMLab packages are installed.

The original distributions and the maintained ones share their import names.
With the wrong one, imports fail late with an unrelated message.
"""

from collections.abc import Mapping
from importlib import metadata

#: Maintained distributions, each after those it needs -> the original ones
#: with the same import name.
ORIGINALS = {
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite'),
    'onedl-mmsegmentation': ('mmsegmentation',),
    'onedl-mmpretrain': ('mmpretrain', 'mmcls'),
}
REQUIRED = tuple(ORIGINALS)
REPLACED = {old: new for new, olds in ORIGINALS.items() for old in olds}
#: Other distributions that matter together.
OTHERS = ('pycocotools', 'transformers')


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
    major = int(versions.get('transformers', '0').partition('.')[0])
    if 'pycocotools' in versions and major >= 5:
        raise ImportError(
            'MMPretrain cannot be imported with both pycocotools and '
            f'transformers {versions["transformers"]} installed. Run '
            "`pip uninstall -y pycocotools`, or `pip install 'transformers<5'`"
            ' if you use its multimodal models.'
        )


def installed_versions() -> dict[str, str]:
    """Return name -> version of the installed packages that matter here."""
    versions = {}
    for name in (*REPLACED, *REQUIRED, *OTHERS):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
