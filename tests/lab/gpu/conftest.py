"""The tests that a visit starts are a session of their own, where these are those of one of several processes too."""

import pytest

from bn.lab.gpu import reports


@pytest.fixture(scope="module", autouse=True)
def of_one_process():
    """Nothing that is started here takes itself for one of the processes of pytest-xdist."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(reports.TESTER, raising=False)
        yield
