"""Each file names a group of the catalogue; its cases for CI run on one network, in namespaces where those are permitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults import leftovers, namespaces
from tests.integration.faults.cluster import Cluster, best_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.faults.catalogue.case import Case, Group
    from tests.integration.faults.cluster import Kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = [case for case in metafunc.module.GROUP.cases if case.in_ci]
        metafunc.parametrize("case", cases, ids=[case.name for case in cases], scope="module")


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    """How the nodes are connected; a module that tests one way says so."""
    return getattr(request.module, "KIND", None) or best_kind()


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kind: Kind
) -> Iterator[Cluster]:
    group: Group = request.module.GROUP
    if reason := group.why_not():
        pytest.skip(reason)
    path = tmp_path_factory.mktemp(group.name)
    with group.open(path, kind) as made:
        yield made
    ours = leftovers.own_name("")
    assert not [name for name in leftovers.owned_namespaces() if name.startswith(ours)]
    assert not [name for name, _ in leftovers.owned_mounts() if name.startswith(ours)]


@pytest.fixture(autouse=True)
def _possible(request: pytest.FixtureRequest) -> None:
    if "case" in request.fixturenames:
        case: Case = request.getfixturevalue("case")
        if case.needs_packets and request.getfixturevalue("kind") == "relay":
            pytest.skip(f"faults of packets need network namespaces: {namespaces.why_not()}")
