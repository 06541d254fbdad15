"""The Proxy-NCA metric (Table 7)."""

from torch import Tensor

from mmdavpt.registry import GUIDANCE_METRICS

from .masked import log_one_plus_sum_exp, masked_pairs, mean_over
from .metric import Metric


def proxy_nca_loss(
    similarity: Tensor,
    target: Tensor,
    guided: Tensor,
    alpha: float = 32.0,
    margin: float = 0.1,
) -> Tensor:
    r"""Sum over the prompts of a sample where Proxy-Anchor sums over samples.

    .. math::
        \frac{1}{|X|} \sum_{x \in X} \log\big(1 +
        e^{-\alpha (s(x,p_x) - \delta)}\big) + \log\Big(1 +
        \sum_{p \in P, p \ne p_x} e^{\alpha (s(x,p) + \delta)}\Big)

    :math:`X` are the samples that take part, :math:`p_x` the prompt of a
    sample's class and :math:`P` the guided prompts. It is a zero that keeps
    its graph where the Proxy-Anchor loss is.

    Args:
        similarity (Tensor): :math:`s(x,p)`, shape (B, P).
        target (Tensor): Prompt that each sample's class maps to, or -1,
            int64, shape (B, ).
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        alpha (float): :math:`\alpha`, the sharpness. Defaults to 32.0.
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.

    Returns:
        Tensor: The loss, a scalar in float32 or better.

    Raises:
        ValueError: If a shape does not fit.
    """
    s, positive, negative = masked_pairs(similarity, target, guided)
    pull = log_one_plus_sum_exp(-alpha * (s - margin), positive, dim=1)
    push = log_one_plus_sum_exp(alpha * (s + margin), negative, dim=1)
    return mean_over(pull + push, (target >= 0).sum())


@GUIDANCE_METRICS.register_module()
class ProxyNCA(Metric):
    """The Proxy-NCA metric, see :func:`proxy_nca_loss`.

    Args:
        alpha (float): The sharpness. Defaults to 32.0.
        margin (float): The margin. Defaults to 0.1.

    Raises:
        UsageError: If a value is out of range.
        TypeError: If a number is not a number.
    """

    loss = staticmethod(proxy_nca_loss)

    def __init__(self, alpha: float = 32.0, margin: float = 0.1) -> None:
        super().__init__(alpha=alpha, margin=margin)
