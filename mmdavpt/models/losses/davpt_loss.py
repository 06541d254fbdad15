"""The guidance loss of all guided layers, as a registered module."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError, check_choice, check_number
from mmdavpt.models.backbones import TOKEN_NAMES
from mmdavpt.registry import GUIDANCE_METRICS, MODELS

from .similarity import centered, cosine_similarity_matrix, mean_token


def _with_prefix(prefix: str) -> list[str]:
    names = sorted(TOKEN_NAMES)
    return [n.removeprefix(prefix) for n in names if n.startswith(prefix)]


PROMPTS, CLS = _with_prefix('prompt_'), _with_prefix('cls_')
TOKENS = ['saliency', *(f'patch_{kind}' for kind in _with_prefix('patch_'))]

#: Guided layers to their tokens by name.
LayerTokens = Mapping[int, Mapping[str, Tensor]]
#: Values of the paper, and of the released code, which ignores its option
#: ``patch_type``; :class:`.DAVPTLoss` names the sources.
PRESETS = {
    'paper': dict(
        token='saliency',
        prompt='query',
        cls='query',
        prompt_scale=1.0,
        metric=dict(type='ProxyAnchor', positive_mean='positive'),
    ),
    'released': dict(
        token='patch_raw',
        prompt='raw',
        cls='query',
        prompt_scale=5.0,
        metric=dict(type='ProxyAnchor', positive_mean='all'),
    ),
}


def _build_metric(metric: Mapping | None, default: Mapping) -> nn.Module:
    """Build a metric, of the preset's type with the preset's arguments."""
    metric = {} if metric is None else metric
    if not isinstance(metric, Mapping):
        raise UsageError(
            "metric of DAVPTLoss should be a dict such as dict(type='"
            f"{default['type']}', alpha=32.0), but got {metric!r}"
        )
    kind = str(metric.get('type', default['type']))
    if kind.removeprefix('mmdavpt.') == default['type']:
        metric = {**default, **metric}
    # Of the default scope, mmengine would warn that it has no metrics.
    return GUIDANCE_METRICS.build({'_scope_': 'mmdavpt', **metric})


@MODELS.register_module()
class DAVPTLoss(nn.Module):
    r"""The two guidance terms of eq. 5, averaged over the guided layers.

    .. math::
        \beta \mathcal{L}(X, P) + \lambda \mathcal{L}(x_{cls}, P)

    Options that are None take the value of ``preset``. The presets are

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
    own values (Kim et al., CVPR 2020).

    The loss has three steps, so that samples of other ranks can be added in
    between: :meth:`samples` and :meth:`prompts` reduce the tokens of the
    layers, :meth:`compare` applies the metric.

    Args:
        metric (dict, optional): Config of the metric that compares tokens and
            prompts, a type in ``GUIDANCE_METRICS``: 'ProxyAnchor' (eq. 4),
            'ProxyNCA' or 'Triplet' (Table 7). Its type, and arguments of the
            preset's type, that it lacks are the preset's. Defaults to None,
            ``dict(type='ProxyAnchor')``.
        token (str, optional): The visual token of a sample.

            - 'saliency': attention output at the prompt that the sample's
              class maps to (paper);
            - 'patch_output', 'patch_input', 'patch_query', 'patch_key': mean
              of the patches' attention output, LN1 output, query or key;
            - 'patch_raw': mean of the block's patches before LN1 (released).
        prompt (str, optional): The prompt as 'query' (paper), as LN1
            output ('input'), as 'key', as 'value' or 'raw' (released).
        cls (str, optional): The [CLS] token as 'query' (paper, released), as
            LN1 output ('input') or as attention output ('output'); or, with
            'attention', the logarithms of its attention weights on the
            prompts, averaged over the heads, in place of cosines:
            ``dict(type='Softmax', temperature=1)`` then maximizes the share
            of the own prompt among the guided ones.
        token_weight (float): :math:`\beta`. Defaults to 0.01.
        cls_weight (float): :math:`\lambda`. Defaults to 0.01.
        prompt_scale (float, optional): Factor on the unit prompts.
        center (bool): Whether to subtract from the tokens of a batch their
            mean, and from the guided prompts theirs, before comparing them:
            features of a pre-trained ViT lie in a narrow cone. Defaults to
            False.
        preset (str): A name out of ``PRESETS``. Defaults to None, 'paper'.

    Raises:
        UsageError: If a value is unknown or out of range, if options
            contradict each other, or if both weights are 0.
        TypeError: If a number is not a number, or if the metric has no such
            argument.
    """

    def __init__(
        self,
        metric: Mapping | None = None,
        token: str | None = None,
        prompt: str | None = None,
        cls: str | None = None,
        token_weight: float = 0.01,
        cls_weight: float = 0.01,
        prompt_scale: float | None = None,
        preset: str | None = None,
        center: bool = False,
    ) -> None:
        super().__init__()
        preset = 'paper' if preset is None else preset
        check_choice('preset of DAVPTLoss', preset, PRESETS)
        default = PRESETS[preset]
        self.metric = _build_metric(metric, default['metric'])
        given = dict(token=token, prompt=prompt, cls=cls)
        for name, value in dict(given, prompt_scale=prompt_scale).items():
            setattr(self, name, default[name] if value is None else value)
        self.center = center
        self.token_weight = token_weight
        self.cls_weight = cls_weight
        self._check_options(token, cls)
        used = (prompt, prompt_scale, token_weight or None, center or None)
        if self.cls == 'attention' and used != (None,) * 4:
            raise UsageError(
                "cls='attention' of DAVPTLoss compares no vectors; remove "
                'prompt and prompt_scale, and set token_weight=0, center=False'
            )

    def _check_options(self, token: str | None, cls: str | None) -> None:
        check_choice('token of DAVPTLoss', self.token, TOKENS)
        check_choice('prompt of DAVPTLoss', self.prompt, PROMPTS)
        check_choice('cls of DAVPTLoss', self.cls, CLS)
        check_number(
            'prompt_scale of DAVPTLoss', self.prompt_scale, positive=True
        )
        for name, given in (('token', token), ('cls', cls)):
            weight = getattr(self, f'{name}_weight')
            check_number(f'{name}_weight of DAVPTLoss', weight, least=0)
            if given is not None and weight == 0:
                raise UsageError(
                    f'{name}={given!r} has no effect with {name}_weight=0; '
                    f'remove {name}, or set a positive {name}_weight'
                )
        if not self.terms:
            raise UsageError(
                'token_weight and cls_weight of DAVPTLoss are both 0; set one '
                'of them to a positive weight, or set model.guidance=None'
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

        Out of 'prompt_raw', 'prompt_input', 'prompt_query', 'prompt_key',
        'prompt_value' of shape (P, C); 'cls_input', 'cls_query',
        'cls_output', 'saliency' of shape (B, C); 'cls_attention' of
        shape (B, P); 'patch_raw', 'patch_input',
        'patch_query', 'patch_key', 'patch_output' of shape (B, N, C).
        """
        return frozenset(
            [f'prompt_{self.prompt}', *(t for _, t in self.terms.values())]
        )

    def extra_repr(self) -> str:
        """Show the resolved options when the module is printed."""
        names = 'token prompt cls token_weight cls_weight prompt_scale'.split()
        return ', '.join(f'{name}={getattr(self, name)!r}' for name in names)

    def forward(
        self, tokens: LayerTokens, target: Tensor, guided: Tensor
    ) -> dict[str, Tensor]:
        """Compute the weighted guidance terms.

        Args:
            tokens (LayerTokens): Per guided layer the
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
            ValueError: If a shape does not fit.
        """
        samples, prompts = self.samples(tokens), self.prompts(tokens)
        return self.compare(samples, prompts, target, guided)

    def samples(self, tokens: LayerTokens) -> Tensor:
        """Reduce the tokens of a batch to one vector per term and layer.

        Args:
            tokens (LayerTokens): As of
                :meth:`forward`.

        Returns:
            Tensor: Shape (B, T, G, C) for the T :attr:`terms` and the G
            guided layers, in float32 or better.

        Raises:
            KeyError: If a layer lacks a token.
        """
        names = [name for _, name in self.terms.values()]
        terms = [[mean_token(t[n]) for t in tokens.values()] for n in names]
        return torch.stack([torch.stack(term, dim=1) for term in terms], dim=1)

    def prompts(self, tokens: LayerTokens) -> list[Tensor]:
        """Return the prompts that samples are compared with.

        Args:
            tokens (LayerTokens): As of
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
        # The gradient of a similarity is the other vector: a NaN here would
        # reach the prompts even with a zero gradient.
        takes_part = (target >= 0).unsqueeze(1)
        losses = {}
        for (name, (weight, token)), term in zip(
            self.terms.items(), samples.unbind(1), strict=True
        ):
            layers = []
            for x, p in zip(term.unbind(1), prompts, strict=True):
                x = torch.where(takes_part, x, torch.zeros_like(x))
                if self.center:
                    x = centered(x, takes_part)
                    p = centered(p, guided.unsqueeze(1))
                s = x  # (B, P)
                if token != 'cls_attention':
                    s = cosine_similarity_matrix(x, p, self.prompt_scale)
                layers.append(self.metric(s, target, guided))
            losses[name] = weight * torch.stack(layers).mean()
        return losses
