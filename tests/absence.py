"""What a machine may lack: a test that needs it is skipped, and fails where the tests judge a change (`CI=true`)."""

import os
from typing import NoReturn

import pytest


def absent(what: str, *, mend: str = "scripts/setup.sh test installs it when root") -> NoReturn:
    """A tool or an ability of the machine is not there; `mend` says how to get it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not there: {mend}")
    pytest.skip(f"{what} is not there: {mend}")
