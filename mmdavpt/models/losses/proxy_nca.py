"""The Proxy-NCA metric (Table 7)."""

from torch import Tensor

from mmdavpt.registry import GUIDANCE_METRICS

from .metric import Metric, log_one_plus_sum_exp, masked_pairs, mean_over


@GUIDANCE_METRICS.register_module()
class ProxyNCA(Metric):
    r"""Sum over the prompts of a sample where Proxy-Anchor sums over samples.

    .. math::
        \frac{1}{|X|} \sum_{x \in X} \log\big(1 +
        e^{-\alpha (s(x,p_x) - \delta)}\big) + \log\Big(1 +
        \sum_{p \in P, p \ne p_x} e^{\alpha (s(x,p) + \delta)}\Big)

    :math:`X` are the samples that take part, :math:`p_x` the prompt of a
    sample's class and :math:`P` the guided prompts.

    Args:
        alpha (float): :math:`\alpha`, the sharpness. Defaults to 32.0.
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.

    Raises:
        UsageError: If a value is out of range.
        TypeError: If a number is not a number.
    """

    def __init__(self, alpha: float = 32.0, margin: float = 0.1) -> None:
        super().__init__(alpha=alpha, margin=margin)

    def forward(
        self, similarity: Tensor, target: Tensor, guided: Tensor
    ) -> Tensor:
        """Return the loss of a batch, see :class:`.Metric`."""
        s, positive, negative = masked_pairs(similarity, target, guided)
        pull = -self.alpha * (s - self.margin)
        push = self.alpha * (s + self.margin)
        pull = log_one_plus_sum_exp(pull, positive, dim=1)
        push = log_one_plus_sum_exp(push, negative, dim=1)
        return mean_over(pull + push, (target >= 0).sum())
