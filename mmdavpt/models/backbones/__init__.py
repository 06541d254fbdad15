from .davpt_vit import BackboneTokens, DAVPTVisionTransformer
from .prompted_layer import (
    SALIENCY_KEYS,
    TOKEN_NAMES,
    TokenRequest,
    prompted_layer,
)
from .prompts import DeepPrompts, prompt_init_bound, prompts_per_layer

__all__ = [
    'BackboneTokens',
    'DAVPTVisionTransformer',
    'DeepPrompts',
    'SALIENCY_KEYS',
    'TOKEN_NAMES',
    'TokenRequest',
    'prompt_init_bound',
    'prompted_layer',
    'prompts_per_layer',
]
