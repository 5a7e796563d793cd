"""A wrong parameter of notebook 07 is refused at once."""

import pytest

from bn.lab.chapters.inception.spec import Counted
from bn.lab.spec import ParameterError


def test_the_question_refuses_what_the_network_would():
    width, pixels = "width must be a number from 0.001 to 1,", "pixels must be a whole number from 8 to 224,"
    wrong = [*(("width", value, width) for value in (0, 1e-4, 1.1, True, "1")), ("pixels", 7, pixels)]
    for name, value, sentence in (*wrong, ("pixels", 14.0, pixels), ("pixels", 225, pixels)):
        with pytest.raises(ParameterError, match=sentence):
            Counted(scale="smoke", dataset="digits", **{name: value})
    for width, pixels in ((0.001, 8), (1, 224)):
        assert Counted(scale="smoke", dataset="digits", width=width, pixels=pixels).pixels == pixels
