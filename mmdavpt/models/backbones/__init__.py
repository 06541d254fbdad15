from .davpt_vit import BackboneTokens, DAVPTVisionTransformer
from .prompt_cache import PromptCache
from .prompted_layer import (
    SALIENCY_KEYS,
    TOKEN_NAMES,
    TokenRequest,
    project_prompts,
    prompted_layer,
)
from .prompts import DeepPrompts, prompt_init_bound, prompts_per_layer
from .token_pools import POOLS, TokenPool

__all__ = [
    'BackboneTokens',
    'DAVPTVisionTransformer',
    'DeepPrompts',
    'POOLS',
    'PromptCache',
    'SALIENCY_KEYS',
    'TOKEN_NAMES',
    'TokenPool',
    'TokenRequest',
    'project_prompts',
    'prompt_init_bound',
    'prompted_layer',
    'prompts_per_layer',
]
