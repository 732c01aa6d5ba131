import pytest


@pytest.fixture(autouse=True)
def _short_tpl(short_tpl):
    """Everything here measures a TPL of few images."""
