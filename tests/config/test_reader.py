"""mail.ini: what it means, and that everything wrong with it is said at once."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.config.ini import scan
from mailstack.config.options import options
from mailstack.config.problem import ConfigurationError
from mailstack.config.reader import load
from mailstack.config.settings import LOOPBACK, Route, Settings, TlsPolicy
from mailstack.model.address import Address

MINIMAL = "[server]\nhostname = mail.office.test\ndomains = office.test\n"
SHIPPED = Path(__file__).parents[2] / "etc/mail.ini"


def read(tmp_path: Path, text: str | bytes) -> Settings:
    path = tmp_path / "mail.ini"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, machine_name=lambda: "machine.test")


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    return [str(problem).removeprefix(str(tmp_path / "mail.ini")) for problem in caught.value.problems]


class TestShippedFile:
    def test_it_holds_the_defaults(self, tmp_path: Path) -> None:
        """With only the two names set, a file beside it means the same."""
        (tmp_path / "etc").mkdir()
        minimal, shipped = tmp_path / "etc/minimal.ini", tmp_path / "etc/mail.ini"
        minimal.write_text(MINIMAL)
        shipped.write_bytes(SHIPPED.read_bytes())
        assert load(shipped) == attrs.evolve(load(minimal), source=shipped)

    def test_every_option_stands_in_it_and_nothing_else(self) -> None:
        written = set(scan(SHIPPED.read_text(), SHIPPED).entries)
        known = {(section, key) for section, keys in options(Path("/")).items() for key in keys}
        assert written == known | {("routes", "*")}

    def test_every_option_has_a_comment_line(self) -> None:
        lines = SHIPPED.read_text().splitlines()
        bare = [
            line
            for before, line in pairwise(lines)
            if "=" in line and not line.startswith("#") and not before.startswith("#")
        ]
        assert bare == []

    def test_it_relays_for_nobody(self) -> None:
        assert load(SHIPPED).relay.networks == ()


def test_every_field_of_the_settings_has_its_option() -> None:
    """The table of options and the classes say the same."""
    table = options(Path("/"))
    sections = {field.name: field for field in attrs.fields(Settings) if field.name not in ("source", "routes")}
    assert set(sections) | {"routes"} == set(table)
    example = load(SHIPPED)
    optional = {("smtp", "listen_tls"), ("smarthost", "port")}  # no service; written behind the host
    for name in sections:
        fields = {(name, field.name) for field in attrs.fields(type(getattr(example, name)))}
        assert fields - optional == {(name, key) for key in table[name]}


class TestMeaning:
    def test_names_that_follow_from_others(self, tmp_path: Path) -> None:
        found = read(tmp_path, "[server]\ndomains = One.test, two.test\ndata = /srv/mail\n")
        assert found.server.hostname == "machine.test"
        assert found.server.domains == ("one.test", "two.test")
        assert found.server.postmaster == Address("postmaster", "one.test")
        assert found.accounts.users == Path("/srv/mail/users")
        assert found.accounts.aliases == Path("/srv/mail/aliases")

    def test_values_may_go_on_in_indented_lines(self, tmp_path: Path) -> None:
        found = read(tmp_path, MINIMAL + "[smtp]\nlisten = tcp:25\n  # between\n\n  tcp6:25\n[pop3]\nlisten =\n")
        assert found.smtp.listen == ("tcp:25", "tcp6:25")
        assert found.pop3.listen == ()

    @pytest.mark.parametrize(("text", "days"), [("never", None), ("Never", None), ("1d", 1), ("90 D", 90)])
    def test_days_after_which_messages_expire(self, tmp_path: Path, text: str, days: int | None) -> None:
        found = read(tmp_path, MINIMAL + f"[pop3]\nexpire = {text}\nlogin_delay = 2m\n").pop3
        assert (found.expire, found.login_delay) == (days, 120.0)

    def test_routes_end_with_mx(self, tmp_path: Path) -> None:
        found = read(tmp_path, MINIMAL + "[routes]\nExample.COM = smtp:relay.test\n.example.com = smtp:[::1]:26\n")
        assert dict(found.routes) == {
            "*": Route("mx"),
            "example.com": Route("smtp", "relay.test"),
            ".example.com": Route("smtp", "::1", 26, literal=True),
        }

    @pytest.mark.parametrize(
        ("text", "host", "port"),
        [
            ("host = out.test", "out.test", 587),
            ("host = [192.0.2.1]:26", "[192.0.2.1]", 26),
            ("host = out.test\ntls = implicit", "out.test", 465),
        ],
    )
    def test_smarthost(self, tmp_path: Path, text: str, host: str, port: int) -> None:
        found = read(tmp_path, MINIMAL + f"[routes]\n* = smarthost\n[smarthost]\n{text}\n").smarthost
        assert (found.host, found.port) == (host, port)

    def test_several_certificates(self, tmp_path: Path) -> None:
        """One path a line, in pairs; there may be spaces in a path, and commas."""
        for name in ("one cert.pem", "one key.pem", "two, cert.pem", "two key.pem"):
            (tmp_path / name).touch()
        certificates = "certificate =\n  one cert.pem\n  two, cert.pem\n"
        found = read(tmp_path, f"{MINIMAL}[tls]\n{certificates}key = one key.pem\n  two key.pem\n").tls
        assert found.pairs == (
            (tmp_path / "one cert.pem", tmp_path / "one key.pem"),
            (tmp_path / "two, cert.pem", tmp_path / "two key.pem"),
        )

    @pytest.mark.parametrize(
        ("text", "policy"),
        [
            ("", TlsPolicy()),
            ("required", TlsPolicy("required", "required", "required")),
            ("submission:required POP3:None", TlsPolicy("opportunistic", "required", "none")),
            ("none, smtp:opportunistic", TlsPolicy("opportunistic", "none", "none")),
        ],
    )
    def test_policy_for_each_service(self, tmp_path: Path, text: str, policy: TlsPolicy) -> None:
        assert read(tmp_path, MINIMAL + f"[tls]\npolicy = {text}\n").tls.policy == policy

    def test_proxies(self, tmp_path: Path) -> None:
        usual, other = (
            read(tmp_path, MINIMAL),
            read(tmp_path, MINIMAL + "proxies = 192.0.2.1\nxclient = 2001:db8::/64\n"),
        )
        assert (usual.server.proxies, usual.server.xclient) == (LOOPBACK, ())
        assert other.server.proxies == (ip_network("192.0.2.1"),)
        assert other.server.xclient == (ip_network("2001:db8::/64"),)
        assert read(tmp_path, MINIMAL + "proxies =\n").server.proxies == ()

    def test_a_file_from_another_system_is_read(self, tmp_path: Path) -> None:
        """A byte order mark, and CRLF line ends."""
        found = read(tmp_path, b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
        assert found.server.hostname == "mail.office.test"

    def test_relative_paths_become_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """twistd leaves the folder it was started in."""
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/mail.ini").write_text(MINIMAL)
        monkeypatch.chdir(tmp_path)
        assert load(Path("etc/mail.ini")).server.data == tmp_path / "var"


class TestProblems:
    def test_all_are_reported_at_once_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        found = problems(
            tmp_path,
            ("[server]\ndomain = office.test\nhostname = a b\n[limit]\n[limits]\nmessage_size = 25MB\nretry = 1m\n"),
        )
        assert found == [
            ":1: [server] domains: it is missing; write the domains of your mail addresses",
            ":2: [server] domain: there is no such key; write domains",
            ":3: [server] hostname: 'a b' is not a domain name; write a name such as mail.example.com",
            ":4: [limit]: there is no such section; write [limits]",
            ":6: [limits] message_size: '25MB' is not a size; write 25KiB, 25MiB or 25GiB",
            ":7: [limits] retry: there is no such key; it belongs to [queue]",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("[server]\n", ":4: [server]: this section began in line 1 already; put both together"),
            ("hostname = b.test\n", ":4: [server] hostname: it was set in line 2 already; keep one of the two"),
            ("nonsense\n", ":4: 'nonsense' is no option; write key = value, or # before a comment"),
            ("[tls\n", ":4: '[tls' is not a section; write [name] and nothing else on the line"),
            ("[log]\n  x\n", ":5: 'x' is indented but goes on with nothing; begin it in the first column"),
            (
                "[log]\nlevel = info # loud\n",
                ":5: [log] level: '# loud' stands behind a value; give the comment a line of its own",
            ),
            ("[log]\nlevel = loud\n", ":5: [log] level: 'loud' is not known here; write debug, info, warn or error"),
            (
                "[nowhere]\nx = y\n",
                ":4: [nowhere]: there is no such section; there are server, accounts, smtp, submission, pop3, tls, "
                "relay, queue, routes, smarthost, spool, dns, limits, log",
            ),
            ("[spool]\nzzz = 1\n", ":5: [spool] zzz: there is no such key; [spool] has sync"),
        ],
    )
    def test_one_mistake_makes_one_problem(self, tmp_path: Path, text: str, problem: str) -> None:
        assert problems(tmp_path, MINIMAL + text) == [problem]

    def test_an_option_before_any_section(self, tmp_path: Path) -> None:
        assert problems(tmp_path, "a = b\n  more\n" + MINIMAL) == [
            ":1: a: it stands before the first section; write [server] or another one above it"
        ]

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[routes]\n* = smarthost\n", "[routes] *: there is no smarthost"),
            ("[routes]\noffice.test = mx\n", "[routes] office.test: mail for a domain of [server] domains"),
            ("[relay]\ndomains = office.test\n", "[relay] domains: office.test is in [server] domains"),
            ("[relay]\nnetworks = 0.0.0.0/0\n", "[relay] networks: this is an open relay: the networks hold 3,"),
            (
                "[relay]\nnetworks = ::/1\ni_accept_an_open_relay = no\n",
                "[relay] networks: this is an open relay: the networks hold ",
            ),
            (
                "[smtp]\nlisten = foo:1\n",
                "[smtp] listen: foo:1: Twisted knows no endpoint of the kind 'foo'; write one of",
            ),
            ("[pop3]\nlisten = haproxy:foo:1\n", "[pop3] listen: haproxy:foo:1: Twisted knows no endpoint"),
            (
                "[smtp]\nlisten =\n[submission]\nlisten =\nlisten_tls =\n[pop3]\nlisten =\nlisten_tls =\n",
                "[smtp] listen: no service listens anywhere, so the server would do nothing; give one of",
            ),
            ("[relay]\nfetch = a.test:bob@office.test\n", "[relay] fetch: we keep no mail for a.test"),
            (
                "[relay]\ndomains = a.test\nfetch = a.test:bob@far.test\n",
                "[relay] fetch: bob@far.test is no account of ours",
            ),
            ("[routes]\na.test = fetch\n", "[routes] a.test: nobody may fetch this mail"),
            ("[routes]\n* = fetch\n", "[routes] *: nobody may fetch this mail"),
            ("[smarthost]\nhost = out.test\nusername = u\n", "[smarthost] password_file: it is missing"),
            ("[smarthost]\nusername = u\npassword_file = mail.ini\n", "[smarthost] username: there is no host"),
            ("[smarthost]\nhost = out.test\npassword_file = mail.ini\n", "[smarthost] username: it is missing"),
            (
                "[smarthost]\nhost = out.test\nusername = u\npassword_file = mail.ini\ntls = none\n",
                "[smarthost] tls: the password would cross the network in clear text",
            ),
            (
                "[smarthost]\nhost = out.test\nusername = u\npassword_file = gone\n",
                "[smarthost] password_file: {}/gone cannot be read: No such file or directory",
            ),
            ("[tls]\ncertificate = mail.ini\n", "[tls] key: it is missing"),
            ("[tls]\nkey = mail.ini\n", "[tls] certificate: it is missing"),
            (
                "[tls]\ncertificate = gone\nkey = mail.ini\n",
                "[tls] certificate: {}/gone cannot be read: No such file or directory",
            ),
            ("[tls]\nkey = gone\ncertificate = mail.ini\n", "[tls] key: {}/gone cannot be read"),
            (
                "[tls]\nkey = mail.ini\ncertificate = mail.ini\n  mail.ini\n",
                "[tls] key: the number of keys is 1, that of certificates 2; name one key for each certificate",
            ),
            ("[tls]\npolicy = some\n", "[tls] policy: 'some' is not known here; write none, opportunistic or required"),
            ("[tls]\npolicy = imap:none\n", "[tls] policy: 'imap' is not known here; write smtp, submission or pop3"),
            ("[tls]\npolicy = :none\n", "[tls] policy: '' is not known here; write smtp, submission or pop3"),
            ("[tls]\npolicy = smtp:none smtp:none\n", "[tls] policy: 'smtp:none' says again what was said already"),
            ("[tls]\npolicy = none required\n", "[tls] policy: 'required' says again what was said already"),
            (
                "xclient = 0.0.0.0/0\n",
                "[server] xclient: anybody could say that he is somebody else: the networks hold",
            ),
            ("proxies = ::/0\n", "[server] proxies: anybody could say that he is somebody else: the networks hold"),
            ("proxies = here\n", "[server] proxies: 'here' is not a network"),
            ("[smtp]\nlisten = tcp:2587\n", "[submission] listen: tcp:2587 is taken by another service"),
            ("[queue]\ndelay_warning = 4h 15m\n", "[queue] delay_warning: the times do not rise"),
            ("[queue]\nretry =\n", "[queue] retry: the list is empty"),
            (
                "[pop3]\nexpire = 30\n",
                "[pop3] expire: '30' is not a number of days; write never, or whole days such as",
            ),
            ("[pop3]\nexpire = 12h\n", "[pop3] expire: '12h' is not a number of days; write never, or whole days such"),
            ("[pop3]\nexpire = 0d\n", "[pop3] expire: '0d' would remove what one program has fetched before"),
            ("[pop3]\nlogin_delay = 2d\n", "[pop3] login_delay: '2d' is too long a time; write 1d at most"),
            ("[pop3]\nlogin_delay = 5\n", "[pop3] login_delay: '5' is not a time; write 5s, 5m, 5h or 5d"),
        ],
    )
    def test_what_does_not_go_together(self, tmp_path: Path, text: str, place: str) -> None:
        (found,) = problems(tmp_path, MINIMAL + text)
        assert found.partition(" ")[2].startswith(place.format(tmp_path))

    def test_an_open_relay_has_to_be_accepted(self, tmp_path: Path) -> None:
        text = "[relay]\nnetworks = 0.0.0.0/0 ::/0\ni_accept_an_open_relay = yes\n"
        assert read(tmp_path, MINIMAL + text).relay.i_accept_an_open_relay

    def test_mail_that_is_fetched(self, tmp_path: Path) -> None:
        text = "[relay]\ndomains = A.test\nfetch = A.Test:bob@office.test a.test:eve@office.test\n"
        found = read(tmp_path, MINIMAL + text + "[routes]\na.test = fetch\n[smtp]\nrfc821 = ON\n")
        assert [(domain, str(account)) for domain, account in found.relay.fetch] == [
            ("a.test", "bob@office.test"),
            ("a.test", "eve@office.test"),
        ]
        assert ("a.test", Route("fetch")) in found.routes
        assert found.smtp.rfc821

    def test_a_password_without_tls_may_go_to_this_machine(self, tmp_path: Path) -> None:
        text = "[smarthost]\nhost = [127.0.0.1]:26\nusername = u\npassword_file = mail.ini\ntls = none\n"
        assert read(tmp_path, MINIMAL + text).smarthost.tls == "none"

    def test_what_could_not_be_understood_contradicts_nothing(self, tmp_path: Path) -> None:
        text = "[routes]\n* = smarthost\n[smarthost]\nhost = a b\n"
        assert len(problems(tmp_path, MINIMAL + text)) == 1

    def test_a_postmaster_whose_mailbox_would_lie_outside(self, tmp_path: Path) -> None:
        text = MINIMAL + 'postmaster = "../x"@office.test\n'
        assert problems(tmp_path, text)[0].startswith(":4: [server] postmaster: ")

    def test_the_machine_may_have_an_unfit_name(self, tmp_path: Path) -> None:
        path = tmp_path / "mail.ini"
        path.write_text("[server]\ndomains = office.test\n")
        with pytest.raises(ConfigurationError, match="hostname: the machine's own name 'my box'"):
            load(path, machine_name=lambda: "my box")

    def test_octets_that_are_no_text(self, tmp_path: Path) -> None:
        assert problems(tmp_path, MINIMAL.encode() + b"[log]\n# caf\xe9\n") == [
            ":5: octet 0xe9 is not UTF-8; save the file as UTF-8"
        ]

    def test_no_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"gone.ini: cannot be read: No such file"):
            load(tmp_path / "gone.ini")
        with pytest.raises(ConfigurationError, match="this is a folder"):
            load(tmp_path)

    def test_files_are_left_alone_on_request(self, tmp_path: Path) -> None:
        """Most commands do not need the key, and their user may not be able to read it."""
        path = tmp_path / "mail.ini"
        path.write_text(MINIMAL + "[tls]\ncertificate = gone\nkey = gone\n")
        assert load(path, files=False).tls.key == (tmp_path / "gone",)


@settings(max_examples=100)
@given(st.text(alphabet=st.sampled_from("[]=#; \n\tserverdomains.tlx*"), max_size=80))
def test_any_text_is_scanned(text: str) -> None:
    """Whatever the file holds: entries or problems, never an exception."""
    scan(text, Path("mail.ini"))
