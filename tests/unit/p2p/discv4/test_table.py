import ipaddress
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from metanode.p2p.discv4.packets import Contact
from metanode.p2p.discv4.table import (
    BUCKET_SIZE,
    NEIGHBOURHOOD_PER_TABLE_MAX,
    REPLACEMENTS_MAX,
    Table,
    distance,
    neighbourhood,
)
from metanode.p2p.enode import NodeId

OWN = NodeId(b"\x01" * 64)


def contact(number: int, ip: str) -> Contact:
    return Contact(
        node_id=NodeId(Random(number).randbytes(64)),
        ip=ipaddress.ip_address(ip),
        udp_port=30303,
        tcp_port=30303,
    )


def public_ip(number: int) -> str:
    return f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.1"


def test_row_29_ten_thousand_ids_of_one_network_get_two_places_a_bucket_and_ten_in_all() -> None:
    table = Table(OWN)
    for number in range(10_000):
        table.add(contact(number, f"8.8.8.{number % 256}"))
    assert len(table) <= NEIGHBOURHOOD_PER_TABLE_MAX
    for bucket in table._buckets:
        assert len(bucket.entries) + len(bucket.replacements) <= 2
    assert len(table._members) <= 10
    assert table.add(contact(20_000, "9.9.9.9")), "others find their place"


def test_row_29_ipv6_networks_are_counted_too() -> None:
    table = Table(OWN)
    for number in range(2000):
        table.add(contact(number, f"2a00:1:2:{number:x}::1"))
    assert len(table) <= NEIGHBOURHOOD_PER_TABLE_MAX


def test_nodes_of_private_networks_are_not_counted_by_network() -> None:
    for network in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.17.0.2", "::1", "fd00::1"):
        table = Table(OWN)
        for number in range(100):
            table.add(contact(number, network))
        assert len(table) > 30, network
        assert neighbourhood(ipaddress.ip_address(network)) is None


def test_a_full_bucket_keeps_its_old_nodes_and_few_newcomers() -> None:
    table = Table(OWN)
    contacts = [contact(number, public_ip(number)) for number in range(5000)]
    for item in contacts:
        table.add(item)
    for bucket in table._buckets:
        assert len(bucket.entries) <= BUCKET_SIZE
        assert len(bucket.replacements) <= REPLACEMENTS_MAX
    assert len(table) <= 17 * BUCKET_SIZE
    assert contacts[0] in table.contacts()


def test_a_removed_node_gives_its_place_to_the_newest_replacement() -> None:
    table = Table(OWN)
    for number in range(200):
        table.add(contact(number, public_ip(number)))
    bucket = next(bucket for bucket in table._buckets if bucket.replacements)
    removed, newest = bucket.entries[0], bucket.replacements[-1]
    table.remove(removed.node_id)
    assert removed.node_id not in table
    assert bucket.entries[-1] == newest
    assert len(bucket.entries) == BUCKET_SIZE


def test_we_are_never_in_our_own_table() -> None:
    table = Table(OWN)
    assert not table.add(Contact(node_id=OWN, ip=ipaddress.ip_address("9.9.9.9"), udp_port=1, tcp_port=1))


def test_a_node_that_moves_is_counted_where_it_is() -> None:
    table = Table(OWN)
    moved = contact(1, "8.8.8.8")
    table.add(moved)
    now = Contact(node_id=moved.node_id, ip=ipaddress.ip_address("9.9.9.9"), udp_port=5, tcp_port=6)
    assert table.add(now)
    assert table.contacts() == [now]
    assert dict(table._neighbourhoods) == {"9.9.9.0/24": 1}


@given(st.integers(0, 2**32))
def test_the_closest_are_the_closest(seed: int) -> None:
    table = Table(OWN)
    for number in range(60):
        table.add(contact(seed + number, public_ip(number)))
    target = Random(seed).randbytes(64)
    closest = table.closest(target, 8)
    distances = [distance(item.node_id, target) for item in closest]
    assert distances == sorted(distance(item.node_id, target) for item in table.contacts())[:8]


def test_counts_return_to_nothing_when_everybody_has_gone() -> None:
    table = Table(OWN)
    random = Random(5)
    for number in range(3000):
        table.add(contact(number % 700, f"8.8.{random.randrange(40)}.{random.randrange(250)}"))
        if not random.randrange(3):
            table.remove(contact(random.randrange(700), "8.8.8.8").node_id)
    for node_id in list(table._members):
        table.remove(node_id)
    assert len(table) == 0
    assert not table._neighbourhoods
    assert not any(bucket.neighbourhoods for bucket in table._buckets)
