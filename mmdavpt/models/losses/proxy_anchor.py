"""The Proxy-Anchor metric (eq. 4)."""

from torch import Tensor

from mmdavpt.models.option_checks import check_choice
from mmdavpt.registry import GUIDANCE_METRICS

from .masked import log_one_plus_sum_exp, masked_pairs, mean_over
from .metric import Metric

POSITIVE_MEANS = ('positive', 'all')


def proxy_anchor_loss(
    similarity: Tensor,
    target: Tensor,
    guided: Tensor,
    alpha: float = 32.0,
    margin: float = 0.1,
    positive_mean: str = 'positive',
) -> Tensor:
    r"""Pull samples to their prompt and push the others away (eq. 4).

    .. math::
        \frac{1}{|P^+|} \sum_{p \in P^+} \log\Big(1 + \sum_{x \in X_p^+}
        e^{-\alpha (s(x,p) - \delta)}\Big) + \frac{1}{|P|} \sum_{p \in P}
        \log\Big(1 + \sum_{x \in X_p^-} e^{\alpha (s(x,p) + \delta)}\Big)

    :math:`P` are the guided prompts and :math:`P^+` those of them with a
    sample in the batch. A sample with target -1 is neither positive nor
    negative. Without a guided prompt, or a sample that takes part, the loss
    is a zero that keeps its graph.

    Args:
        similarity (Tensor): :math:`s(x,p)`, shape (B, P).
        target (Tensor): Prompt that each sample's class maps to, or -1,
            int64, shape (B, ). Values are not checked, since reading them
            would stall an accelerator.
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        alpha (float): :math:`\alpha`, the sharpness. Defaults to 32.0.
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.
        positive_mean (str): Divisor of the positive sum. Defaults to
            'positive'.

            - 'positive': the number of prompts with a sample in the batch,
              as in the paper;
            - 'all': the number of guided prompts. The released code divides
              by all prompts, which is the same unless some are unassigned.

    Returns:
        Tensor: The loss, a scalar in float32 or better.

    Raises:
        ValueError: If a shape does not fit.
    """
    s, positive, negative = masked_pairs(similarity, target, guided)
    pull = log_one_plus_sum_exp(-alpha * (s - margin), positive, dim=0)
    push = log_one_plus_sum_exp(alpha * (s + margin), negative, dim=0)
    num_prompts = guided.sum()
    num_positive = (
        positive.any(0).sum() if positive_mean == 'positive' else num_prompts
    )
    return mean_over(pull, num_positive) + mean_over(push, num_prompts)


@GUIDANCE_METRICS.register_module()
class ProxyAnchor(Metric):
    """The Proxy-Anchor metric, see :func:`proxy_anchor_loss`.

    Args:
        alpha (float): The sharpness. Defaults to 32.0.
        margin (float): The margin. Defaults to 0.1.
        positive_mean (str): 'positive' or 'all'. Defaults to 'positive'.

    Raises:
        UsageError: If a value is unknown or out of range.
        TypeError: If a number is not a number.
    """

    loss = staticmethod(proxy_anchor_loss)

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
