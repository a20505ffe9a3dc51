"""The genesis of a named fork has the forks up to it, and a transition the next one later."""

from typing import Any

import pytest
from tests.conformance.chains import fork_config, opened, plain_genesis


def forks(network: str) -> dict[str, Any]:
    """The last forks of a configuration: its members with values, without those of every chain."""
    config = fork_config(network)
    return {name: config[name] for name in list(config)[-2:]}


@pytest.mark.parametrize(
    ("network", "last"),
    [
        ("Homestead", {"depositContractAddress": fork_config("Frontier")["depositContractAddress"], "homesteadBlock": 0}),
        ("SpuriousDragon", {"eip155Block": 0, "eip158Block": 0}),
        ("Petersburg", {"constantinopleBlock": 0, "petersburgBlock": 0}),
        ("GrayGlacier", {"berlinBlock": 0, "londonBlock": 0}),
        ("BerlinToLondonAt5", {"berlinBlock": 0, "londonBlock": 5}),
        ("Merge", {"londonBlock": 0, "terminalTotalDifficulty": 0}),
        ("ParisToShanghaiAtTime15k", {"terminalTotalDifficulty": 0, "shanghaiTime": 15_000}),
        ("BPO1ToBPO2AtTime15k", {"bpo1Time": 0, "bpo2Time": 15_000}),
    ],
)  # fmt: skip
def test_a_name_gives_the_forks_up_to_it(network: str, last: dict[str, Any]) -> None:
    assert forks(network) == last


def test_the_dao_fork_stands_on_homestead() -> None:
    config = fork_config("HomesteadToDaoAt5")
    assert (config["daoForkBlock"], config["daoForkSupport"], config["homesteadBlock"]) == (5, True, 0)
    assert "eip150Block" not in config


@pytest.mark.parametrize("network", ["Amsterdam", "ArrowGlacierToParisAtDiffC0000", "BPO2ToBPO3AtTime15k"])
def test_rules_that_are_not_here_are_an_error(network: str) -> None:
    with pytest.raises(ValueError, match=r"have no genesis here|is not in (list|tuple)"):
        fork_config(network)


@pytest.mark.parametrize("network", ["Frontier", "Constantinople", "London", "Paris", "Shanghai"])
def test_the_engine_opens_a_chain_of_each_era(network: str) -> None:
    with opened(plain_genesis(network)) as engine:
        assert engine.head().number == 0
