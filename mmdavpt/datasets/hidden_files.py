"""Names of files and folders that systems and programs write unasked."""

#: What macOS, Windows and network disks write without a dot in front.
SYSTEM_NAMES = frozenset(
    ('__MACOSX', '@eaDir', 'lost+found', 'Thumbs.db', 'desktop.ini')
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is not part of the data.

    Args:
        name (str): Its name without folders, such as '.ipynb_checkpoints'.
    """
    return name.startswith('.') or name in SYSTEM_NAMES
