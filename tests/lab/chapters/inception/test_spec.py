"""A wrong parameter of notebook 07 is refused at once."""

import pytest

from bn.lab.chapters.inception.spec import Counted
from bn.lab.spec import ParameterError


def test_the_question_refuses_what_the_network_would():
    for name, value, allowed in (("width", 0, "above 0"), ("pixels", 7, "at least 8"), ("pixels", 14.0, "at least 8")):
        with pytest.raises(ParameterError, match=f"{name} must be .*{allowed}"):
            Counted(scale="smoke", dataset="digits", **{name: value})
