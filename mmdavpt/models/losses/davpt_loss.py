"""The guidance loss of all guided layers, as a registered module."""

import functools
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmdavpt.registry import MODELS

from .options import (
    PRESETS,
    check_choice,
    check_no_surplus,
    check_values,
)
from .proxy_anchor import proxy_anchor_loss
from .proxy_nca import proxy_nca_loss
from .steps import check_tokens, mean_over_layers, stack_samples
from .triplet import triplet_loss

METRICS = {
    'proxy_anchor': proxy_anchor_loss,
    'proxy_nca': proxy_nca_loss,
    'triplet': triplet_loss,
}


@MODELS.register_module()
class DAVPTLoss(nn.Module):
    r"""The two guidance terms of eq. 5, averaged over the guided layers.

    .. math::
        \beta \mathcal{L}(X, P) + \lambda \mathcal{L}(x_{cls}, P)

    Options that are left at None take the value of ``preset``; without a
    preset, that of 'paper'. The presets are

    - 'paper': sections 3.2 and 3.3. The token is the attention output at the
      prompt, before the output projection (3.3); it and [CLS] are compared
      with the prompt's query ("comparing the projected Query vector yields
      better performance", 3.2), all as unit vectors (eq. 3); positives are
      averaged over the prompts with a sample in the batch (eq. 4).
    - 'released': what https://github.com/Noahsark/DA-VPT computes at commit
      1a5ac60, read and not run (``models/criterion.py``). The token is the
      mean of the block's raw patches, which line 530 puts in place of
      whatever ``patch_type`` (lines 510 to 519) had chosen; [CLS] is taken
      as query; both are compared with the raw prompt, a unit vector times
      5, as in 51 of its 61 configurations (``loss_vpt_scale_ratio``);
      positives are averaged over all prompts.

    Both have :math:`\alpha = 32` and :math:`\delta = 0.1`, Proxy-Anchor's
    own values (Kim et al., CVPR 2020), and neither fixes a weight or a
    metric.

    The loss has three steps, so that samples can be gathered in between:
    :meth:`samples` and :meth:`prompts` reduce what the layers handed out,
    :meth:`compare` applies the metric.

    Args:
        metric (str): The loss that compares tokens and prompts. Defaults to
            'proxy_anchor'.

            - 'proxy_anchor': :func:`proxy_anchor_loss` (eq. 4);
            - 'proxy_nca': :func:`proxy_nca_loss` (Table 7);
            - 'triplet': :func:`triplet_loss` (Table 7).
        token (str, optional): The visual token of a sample.

            - 'saliency': attention output at the prompt that the sample's
              class maps to (paper);
            - 'patch_output', 'patch_input', 'patch_query', 'patch_key': mean
              of the patches' attention output, LN1 output, query or key;
            - 'patch_raw': mean of the block's patches before LN1 (released).
        prompt (str, optional): The prompt as 'query' (paper), as LN1
            output ('input') or 'raw' (released).
        cls (str, optional): The [CLS] token as 'query' (paper, released) or
            as LN1 output ('input').
        token_weight (float): :math:`\beta`. Defaults to 0.01.
        cls_weight (float): :math:`\lambda`. Defaults to 0.01.
        alpha (float, optional): The sharpness, 32 if None. 'triplet' has
            none and refuses it.
        margin (float): The margin :math:`\delta`. Defaults to 0.1.
        prompt_scale (float, optional): Factor on the unit prompts.
        positive_mean (str, optional): See :func:`proxy_anchor_loss`; the
            other metrics refuse it.
        preset (str, optional): A name out of ``PRESETS``. Defaults to None.

    Raises:
        ValueError: If a value is unknown or out of range, if options
            contradict each other, or if both weights are 0.
        TypeError: If a number is none.
    """

    def __init__(
        self,
        metric: str = 'proxy_anchor',
        token: str | None = None,
        prompt: str | None = None,
        cls: str | None = None,
        token_weight: float = 0.01,
        cls_weight: float = 0.01,
        alpha: float | None = None,
        margin: float = 0.1,
        prompt_scale: float | None = None,
        positive_mean: str | None = None,
        preset: str | None = None,
    ) -> None:
        super().__init__()
        check_choice('metric', metric, tuple(METRICS))
        if preset is not None:
            check_choice('preset', preset, tuple(PRESETS))
        check_no_surplus(metric, alpha, positive_mean)
        default = PRESETS[preset or 'paper']

        def chosen(name: str, value: object) -> object:
            return default[name] if value is None else value

        self.metric = metric
        self.token = chosen('token', token)
        self.prompt = chosen('prompt', prompt)
        self.cls = chosen('cls', cls)
        self.prompt_scale = chosen('prompt_scale', prompt_scale)
        self.token_weight = token_weight
        self.cls_weight = cls_weight
        self.metric_args = dict(margin=margin)
        if metric != 'triplet':
            self.metric_args['alpha'] = 32.0 if alpha is None else alpha
        if metric == 'proxy_anchor':
            self.metric_args['positive_mean'] = chosen(
                'positive_mean', positive_mean
            )
        check_values(self.options)
        for name, given, weight in (
            ('token', token, token_weight),
            ('cls', cls, cls_weight),
        ):
            if given is not None and weight == 0:
                raise ValueError(
                    f'{name}={given!r} has no meaning with {name}_weight=0; '
                    f'leave {name} out, or give its term a weight'
                )

    @property
    def terms(self) -> dict[str, tuple[float, str]]:
        """dict: Weight and token name of each loss with a weight."""
        terms = {
            'loss_guidance_token': (self.token_weight, self.token),
            'loss_guidance_cls': (self.cls_weight, f'cls_{self.cls}'),
        }
        return {name: term for name, term in terms.items() if term[0] > 0}

    @property
    def required_tokens(self) -> frozenset[str]:
        """frozenset[str]: Names of the tokens that :meth:`forward` reads.

        Out of 'prompt_raw', 'prompt_input', 'prompt_query' of shape (P, C);
        'cls_input', 'cls_query' of shape (B, C); 'patch_raw', 'patch_input',
        'patch_query', 'patch_key', 'patch_output' of shape (B, N, C); and
        'saliency' of shape (B, C).
        """
        return frozenset(
            [f'prompt_{self.prompt}', *(t for _, t in self.terms.values())]
        )

    @property
    def options(self) -> dict[str, object]:
        """dict: The resolved options by name, without those of no meaning."""
        return dict(
            metric=self.metric,
            token=self.token,
            prompt=self.prompt,
            cls=self.cls,
            token_weight=self.token_weight,
            cls_weight=self.cls_weight,
            prompt_scale=self.prompt_scale,
            **self.metric_args,
        )

    def extra_repr(self) -> str:
        """Show the resolved options when the module is printed."""
        return ', '.join(
            f'{name}={value!r}' for name, value in self.options.items()
        )

    def forward(
        self,
        tokens: Mapping[int, Mapping[str, Tensor]],
        target: Tensor,
        guided: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the weighted guidance terms.

        Args:
            tokens (Mapping[int, Mapping[str, Tensor]]): Per guided layer the
                tokens named by :attr:`required_tokens`. The 'saliency' is
                that at the prompt of each sample's class.
            target (Tensor): Prompt that each sample's class maps to, or -1
                for a sample that takes no part, int64, shape (B, ). Whatever
                the tokens of such a sample hold, NaN included, it reaches
                neither loss nor gradients.
            guided (Tensor): Whether each prompt is guided, bool, shape (P, ).

        Returns:
            dict[str, Tensor]: 'loss_guidance_token' and 'loss_guidance_cls',
            those of them whose weight is not 0, scalars.

        Raises:
            KeyError: If a layer lacks a token.
            ValueError: If there is no layer or a shape does not fit.
        """
        return self.compare(
            self.samples(tokens), self.prompts(tokens), target, guided
        )

    def samples(self, tokens: Mapping[int, Mapping[str, Tensor]]) -> Tensor:
        """Reduce the tokens of a batch to one vector per term and layer.

        Args:
            tokens (Mapping[int, Mapping[str, Tensor]]): As of
                :meth:`forward`.

        Returns:
            Tensor: Shape (B, T, G, C) for the T :attr:`terms` and the G
            guided layers, in float32 or better.

        Raises:
            KeyError: If a layer lacks a token.
            ValueError: If there is no layer.
        """
        check_tokens(tokens, self.required_tokens)
        names = [name for _, name in self.terms.values()]
        return stack_samples(tokens, names)

    def prompts(
        self, tokens: Mapping[int, Mapping[str, Tensor]]
    ) -> list[Tensor]:
        """Return the prompts that samples are compared with.

        Args:
            tokens (Mapping[int, Mapping[str, Tensor]]): As of
                :meth:`forward`.

        Returns:
            list[Tensor]: Of each guided layer, shape (P, C).
        """
        return [named[f'prompt_{self.prompt}'] for named in tokens.values()]

    def compare(
        self,
        samples: Tensor,
        prompts: Sequence[Tensor],
        target: Tensor,
        guided: Tensor,
    ) -> dict[str, Tensor]:
        """Apply the metric to samples and prompts.

        Args:
            samples (Tensor): As of :meth:`samples`, shape (B, T, G, C).
            prompts (Sequence[Tensor]): As of :meth:`prompts`.
            target (Tensor): As of :meth:`forward`, shape (B, ).
            guided (Tensor): As of :meth:`forward`, shape (P, ).

        Returns:
            dict[str, Tensor]: As of :meth:`forward`.

        Raises:
            ValueError: If a shape does not fit.
        """
        terms = mean_over_layers(
            functools.partial(METRICS[self.metric], **self.metric_args),
            samples,
            prompts,
            target,
            guided,
            self.prompt_scale,
        )
        return {
            name: weight * term
            for (name, (weight, _)), term in zip(
                self.terms.items(), terms, strict=True
            )
        }
