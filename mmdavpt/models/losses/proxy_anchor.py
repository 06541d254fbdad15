"""The Proxy-Anchor metric (eq. 4)."""

from torch import Tensor

from mmdavpt.errors import check_choice
from mmdavpt.registry import GUIDANCE_METRICS

from .metric import Metric, log_one_plus_sum_exp, masked_pairs, mean_over

POSITIVE_MEANS = ('positive', 'all')


@GUIDANCE_METRICS.register_module()
class ProxyAnchor(Metric):
    r"""Pull samples to their prompt and push the others away (eq. 4).

    .. math::
        \frac{1}{|P^+|} \sum_{p \in P^+} \log\Big(1 + \sum_{x \in X_p^+}
        e^{-\alpha (s(x,p) - \delta)}\Big) + \frac{1}{|P|} \sum_{p \in P}
        \log\Big(1 + \sum_{x \in X_p^-} e^{\alpha (s(x,p) + \delta)}\Big)

    :math:`P` are the guided prompts and :math:`P^+` those of them with a
    sample in the batch.

    Args:
        alpha (float): :math:`\alpha`, the sharpness. Defaults to 32.0.
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.
        positive_mean (str): Divisor of the positive sum. Defaults to
            'positive'.

            - 'positive': the number of prompts with a sample in the batch,
              as in the paper;
            - 'all': the number of guided prompts. The released code divides
              by all prompts, which is the same unless some are unassigned.

    Raises:
        UsageError: If a value is unknown or out of range.
        TypeError: If a number is not a number.
    """

    def __init__(
        self,
        alpha: float = 32.0,
        margin: float = 0.1,
        positive_mean: str = 'positive',
    ) -> None:
        super().__init__(
            alpha=alpha, margin=margin, positive_mean=positive_mean
        )
        check_choice(
            'positive_mean of ProxyAnchor', positive_mean, POSITIVE_MEANS
        )

    def forward(
        self, similarity: Tensor, target: Tensor, guided: Tensor
    ) -> Tensor:
        """Return the loss of a batch, see :class:`.Metric`."""
        s, positive, negative = masked_pairs(similarity, target, guided)
        pull = -self.alpha * (s - self.margin)
        push = self.alpha * (s + self.margin)
        pull = log_one_plus_sum_exp(pull, positive, dim=0)
        push = log_one_plus_sum_exp(push, negative, dim=0)
        num_prompts = num_positive = guided.sum()
        if self.positive_mean == 'positive':
            num_positive = positive.any(0).sum()
        return mean_over(pull, num_positive) + mean_over(push, num_prompts)
