"""Names of the parameters that tuning adds to a pre-trained backbone."""

#: The attributes of a backbone that tuning adds. All code that separates them
#: from pre-trained weights (freezing, strict loading, tuned-only files,
#: parameter counts, checks, export) uses this.
ADDED = ('prompts', 'bias_delta', 'gate_logits', 'tuners')


def is_added(name: str) -> bool:
    """Return whether tuning added a parameter or buffer of a backbone.

    Args:
        name (str): Its name, relative to the backbone.
    """
    return name.partition('.')[0] in ADDED
