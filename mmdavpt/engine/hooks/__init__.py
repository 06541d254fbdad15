from .parameter_table_hook import ParameterTableHook
from .prompt_mapping_hook import PromptMappingHook

__all__ = ['ParameterTableHook', 'PromptMappingHook']
