"""Base class and options of the guidance metrics of this package."""

from torch import nn

from mmdavpt.errors import check_number


class Metric(nn.Module):
    """A guidance metric with options.

    Its ``forward`` takes

    - ``similarity``: :math:`s(x,p)` of samples and prompts, shape (B, P);
    - ``target``: the prompt that each sample's class maps to, or -1, int64,
      shape (B, ). A sample with -1 is neither positive nor negative. Values
      are not checked, since reading them would stall an accelerator;
    - ``guided``: whether each prompt is guided, bool, shape (P, );

    and returns a scalar in float32 or better: a zero that keeps its graph if
    there is no guided prompt, or no sample that takes part. It raises a
    ``ValueError`` if a shape does not fit.

    Args:
        **options: The options, which become attributes.

    Raises:
        UsageError: If ``alpha``, ``temperature`` or ``margin`` is out of
            range.
        TypeError: If one of them is not a number.
    """

    def __init__(self, **options) -> None:
        super().__init__()
        name = type(self).__name__
        for option in ('alpha', 'temperature'):
            value = options.get(option, 1)
            check_number(f'{option} of {name}', value, positive=True)
        check_number(f'margin of {name}', options.get('margin', 0))
        self.options = options
        vars(self).update(options)

    def extra_repr(self) -> str:
        """Show the options when the module is printed."""
        return ', '.join(f'{k}={v!r}' for k, v in self.options.items())
