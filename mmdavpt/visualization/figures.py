"""What all pictures share: their looks and how they are saved."""

import os
import os.path as osp

from matplotlib.figure import Figure

#: Colours of everything that is not data.
INK, PALE, ACCENT = '#222222', '#9a9a9a', '#c8321e'


def save_figure(figure: Figure, path: str, dpi: int = 120) -> None:
    """Save a figure as a picture; its folder is made if need be.

    A figure that pyplot does not know is drawn without a display and freed
    with its last reference.

    Args:
        figure (Figure): The figure.
        path (str): The file; its suffix chooses the format.
        dpi (int): Dots per inch. Defaults to 120.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    figure.savefig(path, dpi=dpi, facecolor='white')
