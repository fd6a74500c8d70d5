"""What may stand behind the equals sign."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.config import hosts, routes, values
from mailstack.config.hosts import Target
from mailstack.config.problem import BadValue
from mailstack.config.settings import Route

FOLDER = Path("/srv/etc")


@pytest.mark.parametrize(
    ("text", "octets"),
    [("512", 512), ("64KiB", 65536), ("25MiB", 26214400), ("25 mib", 26214400), ("1GiB", 2**30)],
)
def test_sizes(text: str, octets: int) -> None:
    assert values.size(text) == octets


@pytest.mark.parametrize("text", ["", "25MB", "-1", "0", "MiB", "1.5MiB", "٣MiB"])
def test_other_sizes_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadValue, match="MiB"):
        values.size(text)


def test_a_wrong_unit_is_answered_with_the_right_one() -> None:
    with pytest.raises(BadValue, match="write 25KiB, 25MiB or 25GiB"):
        values.size("25MB")


def test_a_number_may_be_none() -> None:
    assert [values.up_to(200)(text) for text in ("0", "200")] == [0, 200]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "٣", "201", "1234567890"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(BadValue, match="from 0 to 200"):
        values.up_to(200)(text)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("5d", 432000)])
def test_times(text: str, seconds: float) -> None:
    assert values.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5w", "m", "0s", "-1m"])
def test_a_time_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(BadValue):
        values.seconds(text)


@pytest.mark.parametrize("text", ["a b", "a,b", " a ,\n b ", "a\nb,"])
def test_lists_are_separated_by_white_space_or_commas(text: str) -> None:
    assert values.words(text) == ("a", "b")


@pytest.mark.parametrize("text", ["office.test", "Office.Test.", "a", "xn--bcher-kva.example"])
def test_domains_become_lower_case(text: str) -> None:
    assert values.domain(text) == text.lower().rstrip(".")


@pytest.mark.parametrize("text", ["", ".", "a..b", "-a.test", "a b", "192.0.2.1", "a@b", "x" * 64, "[192.0.2.1]"])
def test_other_domains_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.domain(text)


@pytest.mark.parametrize("text", ["bücher.example", "BÜCHER.Example.", "bu\u0308cher.example", "xn--bcher-kva.example"])
def test_an_international_domain_has_one_form(text: str) -> None:
    assert values.domain(text) == "xn--bcher-kva.example"


@pytest.mark.parametrize("text", ["☃.example", "-ü.example", "ü..example", "ü" * 300])
def test_letters_that_no_domain_has(text: str) -> None:
    with pytest.raises(BadValue, match=r"not a domain|too long"):
        values.domain(text)


@pytest.mark.parametrize("text", ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"])
def test_networks(text: str) -> None:
    assert values.network(text) == ip_network(text)


@pytest.mark.parametrize(("text", "meaning"), [("yes", True), ("No", False)])
def test_yes_or_no(text: str, meaning: bool) -> None:
    assert values.yes_or_no(text) is meaning


@pytest.mark.parametrize("text", ["a.test", "a.test:", "a.test:bob", ":bob@office.test", "a b:bob@office.test"])
def test_who_may_fetch_is_a_domain_and_an_account(text: str) -> None:
    with pytest.raises(BadValue):
        values.fetcher(text)


@pytest.mark.parametrize("text", ["yes", "", "1"])
def test_a_switch_is_on_or_off(text: str) -> None:
    with pytest.raises(BadValue, match="write off or on"):
        values.switch(text)


def test_a_prefix_must_begin_at_its_beginning() -> None:
    with pytest.raises(BadValue, match=r"write 192\.0\.2\.0/24"):
        values.network("192.0.2.9/24")


def test_paths_begin_in_the_folder_of_the_file() -> None:
    assert values.path("../var/users", FOLDER) == Path("/srv/var/users")
    assert values.path("/absolute", FOLDER) == Path("/absolute")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("relay.test", Target("relay.test", 25, literal=False)),
        ("Relay.Test:587", Target("relay.test", 587, literal=False)),
        ("[relay.test]", Target("relay.test", 25, literal=True)),
        ("[192.0.2.1]:26", Target("192.0.2.1", 26, literal=True)),
        ("192.0.2.1:26", Target("192.0.2.1", 26, literal=True)),
        ("[2001:db8::1]", Target("2001:db8::1", 25, literal=True)),
        ("[IPv6:2001:DB8::1]:26", Target("2001:db8::1", 26, literal=True)),
    ],
)
def test_hosts(text: str, target: Target) -> None:
    assert hosts.target(text, 25) == target


@pytest.mark.parametrize("text", ["", ":25", "a:", "a:0", "a:65536", "a:b", "[a", "a]", "[]", "2001:db8::1", "a b"])
def test_other_hosts_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        hosts.target(text, 25)


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("mx", Route("mx")),
        ("smarthost", Route("smarthost")),
        ("smtp:relay.test", Route("smtp", "relay.test", 25, literal=False)),
        ("smtp:[192.0.2.1]:2526", Route("smtp", "192.0.2.1", 2526, literal=True)),
        ("smtp:[2001:db8::1]:25", Route("smtp", "2001:db8::1", 25, literal=True)),
        ("lmtp:store.test:24", Route("lmtp", "store.test", 24, literal=True)),
        ("lmtp:unix:run/lmtp", Route("lmtp", "/srv/etc/run/lmtp", 0, literal=True)),
        (
            "mx tls=required Retry=5m,1h lifetime=2d concurrency=3",
            Route("mx", tls="required", retry=(300, 3600), lifetime=172800, concurrency=3),
        ),
        ("smarthost concurrency=1", Route("smarthost", concurrency=1)),
    ],
)
def test_routes(text: str, route: Route) -> None:
    assert routes.route(text, FOLDER) == route


@pytest.mark.parametrize("text", ["", "MX!", "mx:a", "smtp", "smtp:", "lmtp:", "lmtp:host", "lmtp:unix:", "uucp:a"])
def test_other_routes_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.route(text, FOLDER)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("mx tls", "'tls' is no option of the route mx"),
        ("mx pace=1", "'pace=1' is no option"),
        ("mx tls=maybe", "'maybe' is not known here"),
        ("mx retry=", "the list is empty"),
        ("mx lifetime=1d lifetime=2d", "lifetime= stands there twice"),
        ("smarthost tls=none", "no option of the route smarthost"),
        ("fetch retry=1m", "no option of the route fetch"),
        ("lmtp:unix:a tls=none", "no option of the route lmtp:unix"),
    ],
)
def test_options_of_routes_that_make_no_sense_are_refused(text: str, wrong: str) -> None:
    with pytest.raises(BadValue, match=wrong):
        routes.route(text, FOLDER)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_name_servers(text: str, server: tuple[str, int]) -> None:
    assert hosts.name_server(text) == server


def test_a_name_server_is_an_address() -> None:
    with pytest.raises(BadValue, match="not an IP address"):
        hosts.name_server("dns.test")


@pytest.mark.parametrize(
    "text",
    [
        "tcp:25",
        "tcp:0:interface=127.0.0.1",
        "tcp:port=25",
        "tcp6:25",
        r"tcp:25:interface=\:\:1",
        "haproxy:tcp:25",
        "systemd:domain=INET:index=0",
        "unix:/run/smtp",
    ],
)
def test_endpoints(text: str) -> None:
    assert hosts.endpoints(text) == (text,)


@pytest.mark.parametrize("text", ["25", "127.0.0.1:25", "tcp", "tcp:", "tcp:smtp", "tcp:70000", "tcp:25 tcp:26"])
def test_other_endpoints_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        hosts.endpoints(text)


def test_a_bare_port_is_answered_with_its_endpoint() -> None:
    with pytest.raises(BadValue, match="write tcp:2525"):
        hosts.endpoint("2525")


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("[]:.,a1@*/ -\0é\n=tcpmxlu"), max_size=20))
def test_nothing_but_bad_value_is_raised(text: str) -> None:
    """Whatever stands in the file, the answer is a value or what is wrong with it."""
    for parse in (
        values.size,
        values.seconds,
        values.count,
        values.domain,
        values.network,
        values.address,
        values.delimiter,
        values.fetcher,
        values.switch,
        hosts.next_hop,
        hosts.name_server,
        routes.route_name,
        hosts.endpoints,
        lambda text: routes.route(text, FOLDER),
        lambda text: values.path(text, FOLDER),
    ):
        try:
            parse(text)
        except BadValue:
            continue


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("tcp:25", "127.0.0.1:25"),
        ("tcp6:25", "127.0.0.1:25"),
        ("tcp:port=25:interface=192.0.2.1", "192.0.2.1:25"),
        (r"tcp6:25:interface=\:\:1", "::1:25"),
        (r"tcp6:25:interface=\:\:", "127.0.0.1:25"),
        ("tcp:0", ""),
        ("unix:/run/smtp", ""),
        ("haproxy:tcp:25", ""),
        ("systemd:domain=INET:index=0", ""),
    ],
)
def test_where_an_endpoint_is_reached_on_this_machine(endpoint: str, place: str) -> None:
    found = hosts.reached_here(["unix:/run/nothing", endpoint])
    assert (f"{found.host}:{found.port}" if found else "") == place


def test_times_that_must_not_be_too_long() -> None:
    parse = values.at_most(values.pause, 86400.0)
    assert (parse("0s"), parse("24h")) == (0.0, 86400.0)
    with pytest.raises(BadValue) as error:
        parse("25h")
    assert error.value.fix == "write 1d at most"
