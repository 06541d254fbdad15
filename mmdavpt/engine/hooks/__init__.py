from .agreement_hook import AgreementHook
from .checkpoint_hook import DAVPTCheckpointHook
from .guidance_fade_hook import GuidanceFadeHook
from .parameter_table_hook import ParameterTableHook
from .prompt_init_hook import PromptInitHook
from .prompt_mapping_hook import PromptMappingHook
from .training_check_hook import TrainingCheckHook

__all__ = [
    'AgreementHook',
    'DAVPTCheckpointHook',
    'GuidanceFadeHook',
    'ParameterTableHook',
    'PromptInitHook',
    'PromptMappingHook',
    'TrainingCheckHook',
]
