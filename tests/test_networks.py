"""Three real networks of those of `make test-networks`, which pytest alone does not try, and the record of them all."""

import json
import re

import pytest
import real_networks as real
from test_packaging import pins

# A graph is made of the first; the second gives a dict; the third takes lists and draws random numbers.
NAMES = ["shufflenet_v2_x0_5", "lraspp_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_real_network(name, one_thread):
    real.replace_missing_operators()
    net, arguments, others = real.as_if_trained(real.NETWORKS[name])
    real.check_revert(net)
    assert real.check_convert(net, arguments) > 0
    assert real.check_fold(net, arguments, others)["graph"] or name != NAMES[0]


def test_the_record_is_of_a_complete_run_with_the_pins_from_committed_files():
    found = json.loads(real.RECORD.read_text("utf-8"))
    assert found["dirty"] is False and re.fullmatch("[0-9a-f]{10}", found["commit"])
    assert {f"{name}=={version.partition('+')[0]}" for name, version in found["versions"].items()} <= pins()
    everything = found["counts"].pop("all")
    assert everything["networks"] + everything["without"] + everything["left_out"] == len(real.NETWORKS)
    assert everything["left_out"] == len(found["left_out"])
    for count, number in everything.items():
        assert number == sum(library[count] for library in found["counts"].values())
    for library in found["counts"].values():
        assert library["taken_in"] + library["fixed"] <= library["converted"] <= library["layers"]
