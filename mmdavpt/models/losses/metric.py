"""Base class and options of the guidance metrics of this package."""

from collections.abc import Callable

from torch import Tensor, nn

from mmdavpt.models.option_checks import check_number


class Metric(nn.Module):
    """A guidance metric with options.

    Args:
        **options: Further arguments of ``loss``.

    Raises:
        UsageError: If ``alpha`` or ``margin`` is out of range.
        TypeError: If one of them is not a number.
    """

    loss: Callable[..., Tensor]

    def __init__(self, **options) -> None:
        super().__init__()
        name = type(self).__name__
        alpha = options.get('alpha', 1)
        check_number(f'alpha of {name}', alpha, positive=True)
        check_number(f'margin of {name}', options.get('margin', 0))
        self.options = options

    def forward(
        self, similarity: Tensor, target: Tensor, guided: Tensor
    ) -> Tensor:
        """Return the loss of a batch, see the function of the metric."""
        return self.loss(similarity, target, guided, **self.options)

    def extra_repr(self) -> str:
        """Show the options when the module is printed."""
        return ', '.join(f'{k}={v!r}' for k, v in self.options.items())
