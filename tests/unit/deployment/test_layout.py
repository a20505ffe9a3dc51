from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply.layout import NetworkDirectory, write_atomic
from sdk.testnet.deployment.plan import NetworkSpec, plan_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_saved_plan_is_loaded_as_it_was(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    plan = plan_network(NetworkSpec(validator_count=3, port_offset=7)).with_node("follower")

    directory.save_plan(plan)

    assert directory.load_plan() == plan


def test_a_directory_without_a_network_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no network in .*; start one with `metanode up`"):
        NetworkDirectory(tmp_path).load_plan()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"spec": {"validators": 3}, "nodes": []}', "\x00"])
def test_a_damaged_plan_is_refused_with_the_way_out(tmp_path: Path, text: str) -> None:
    directory = NetworkDirectory(tmp_path)
    directory.plan_file.write_text(text)

    with pytest.raises(
        InvalidInput, match=rf"not a network plan of this version: .*`metanode reset --directory {tmp_path}`"
    ):
        directory.load_plan()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda plan: plan["nodes"][1].pop("private_port"), "nodes[1].private_port is missing"),
        (lambda plan: plan["nodes"][0].update(color="red"), "nodes[0]: 'color' is not known"),
        (lambda plan: plan["spec"].update(validators=4), "spec: 'validators' is not known"),
        (lambda plan: plan.pop("nodes"), "the key 'nodes' is missing"),
        (lambda plan: plan.update(nodes=[7]), "nodes[0]: expected an object, found 7"),
    ],
)
def test_a_plan_of_another_version_is_refused_with_the_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    directory = NetworkDirectory(tmp_path)
    directory.save_plan(plan_network(NetworkSpec()))
    document = json.loads(directory.plan_file.read_text())
    change(document)
    directory.plan_file.write_text(json.dumps(document))

    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        directory.load_plan()


def test_an_atomic_write_leaves_no_other_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "deep" / "file", "one")
    write_atomic(tmp_path / "deep" / "file", "two")

    assert [(file.name, file.read_text()) for file in (tmp_path / "deep").iterdir()] == [("file", "two")]
