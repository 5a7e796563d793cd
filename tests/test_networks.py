"""Three real networks of those of `make test-networks`, which pytest alone does not try."""

import pytest
import real_networks as real

# A graph is made of the first; the second gives a dict; the third takes lists and draws random numbers.
NAMES = ["shufflenet_v2_x0_5", "lraspp_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_real_network(name, one_thread):
    real.replace_missing_operators()
    net, arguments, others = real.as_if_trained(real.NETWORKS[name])
    real.check_revert(net)
    assert real.check_convert(net, arguments) > 0
    assert real.check_fold(net, arguments, others)["graph"] == (name == NAMES[0])
