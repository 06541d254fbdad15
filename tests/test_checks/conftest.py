"""Settings of tests that start many runs."""

import pytest
from yapf.yapflib import yapf_api


@pytest.fixture(scope='package', autouse=True)
def _quick_start():
    """Do not format dumped configs, nor collect the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            yapf_api, 'FormatCode', lambda text, **options: (text, True)
        )
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        yield
