from .agreement_hook import AgreementHook
from .checkpoint_hook import DAVPTCheckpointHook
from .parameter_table_hook import ParameterTableHook
from .prompt_init_hook import PromptInitHook
from .prompt_mapping_hook import PromptMappingHook
from .training_check_hook import TrainingCheckHook

__all__ = [
    'AgreementHook',
    'DAVPTCheckpointHook',
    'ParameterTableHook',
    'PromptInitHook',
    'PromptMappingHook',
    'TrainingCheckHook',
]
