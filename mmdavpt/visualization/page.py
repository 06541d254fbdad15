"""A figure on which things are placed in inches from its upper left."""

from typing import Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import INK


class Page:
    """A figure of a fixed size; what is placed on it never moves.

    Args:
        width (float): In inches.
        height (float): In inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.size = (width, height)
        self.figure = Figure(figsize=self.size)

    def write(
        self,
        place: Tuple[float, float],
        text: str,
        points: float,
        colour: str = INK,
    ) -> None:
        """Write a line.

        Args:
            place (Tuple[float, float]): Of its upper left, from the left and
                from the top.
            text (str): The line; a dollar sign is itself.
            points (float): Size of the font.
            colour (str): Of the text. Defaults to that of all text.
        """
        self.figure.text(
            place[0] / self.size[0],
            1 - place[1] / self.size[1],
            text,
            size=points,
            color=colour,
            va='top',
            parse_math=False,
        )

    def picture(
        self, place: Tuple[float, float], box: Tuple[float, float]
    ) -> Axes:
        """Return axes for a picture, which keeps its aspect in its box.

        Args:
            place (Tuple[float, float]): Of the upper left of the box, from
                the left and from the top.
            box (Tuple[float, float]): Width and height of the box.
        """
        width, height = self.size
        axes = self.figure.add_axes(
            (
                place[0] / width,
                1 - (place[1] + box[1]) / height,
                box[0] / width,
                box[1] / height,
            )
        )
        axes.set_axis_off()
        axes.set_anchor('NW')
        return axes
