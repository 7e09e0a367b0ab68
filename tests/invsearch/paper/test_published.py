"""The published numbers as the suite reads them."""

from __future__ import annotations

from invsearch.paper import networks


def test_the_ten_networks_are_read_with_their_status() -> None:
    """Five of each family; numbers read off a figure keep saying so."""
    found = {network.name: network for network in networks()}
    assert len(found) == 10
    assert [n.depth for n in networks()] == [26, 38, 50, 101, 152] * 2
    rednet, resnet = found["RedNet-50"], found["ResNet-50"]
    assert (rednet.family, rednet.params_m, rednet.macs_g, rednet.top1) == (
        "rednet", 15.54, 2.71, 78.4,
    )  # fmt: skip
    assert rednet.error == 21.6
    assert rednet.status == "published"
    assert resnet.family == "resnet"
    assert "read off" in resnet.status


def test_the_list_is_the_callers_own() -> None:
    """Changing what was returned must not change the paper."""
    networks().clear()
    assert len(networks()) == 10
