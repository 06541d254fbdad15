"""Format the text of a config once, not for each checkpoint."""

import functools
from typing import Any

from yapf.yapflib import yapf_api


@functools.cache
def install_format_cache() -> None:
    """Let yapf format a config once, for this whole process.

    mmengine formats the whole config five times at the start of a run, and for
    each checkpoint; a large one takes yapf a second or more. ``DAVPTRunner``
    calls this; importing the package does not.
    """
    original, last = yapf_api.FormatCode, {}

    @functools.wraps(original)
    def format_code(*args, **options) -> tuple[str, Any]:
        key = repr((args, options))
        if key not in last:
            result = original(*args, **options)
            last.clear()
            last[key] = result
        return last[key]

    yapf_api.FormatCode = format_code
