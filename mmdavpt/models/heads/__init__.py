from .linear_head import LinearSegHead

__all__ = ['LinearSegHead']
