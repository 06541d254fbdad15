"""Settings of tests that start many runs."""

from tests.test_checks.conftest import _quick_start  # noqa: F401
