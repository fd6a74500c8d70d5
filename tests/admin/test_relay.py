"""``mailstack relay``: the table is what the receiver says, and the test has teeth."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from mailstack.admin import caller
from mailstack.admin.relay_test import TRICKS
from mailstack.admin.trick_sessions import FAKE_ENDS
from mailstack.intake import relay
from mailstack.intake.relay import RelayRule
from mailstack.interfaces.accounts import Resolution
from mailstack.protocol import dots
from mailstack.protocol.srs import Srs
from tests.admin.office import MAIL_INI, Office

PROBES = Path(__file__).parents[1] / "live/data/relay_probes.json"
RELAY = "[relay]\nnetworks = 198.51.100.0/24\ndomains = backup.test\n"


@pytest.fixture(autouse=True)
def _files(office: Office) -> None:
    office.ini.write_text(MAIL_INI + RELAY)
    office.users.parent.mkdir()
    office.users.write_text("alice@office.test:{PLAIN}x\n")
    office.aliases.write_text("sales: alice\naway: friend@elsewhere.test\n")


def trusts_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RelayRule, "permits", lambda *args: True)


class TestTable:
    def rows(self, office: Office, **wanted: object) -> list[Any]:
        rows = office.json("relay", "table")
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]

    def test_strangers(self, office: Office) -> None:
        rows = self.rows(office, who="stranger", port="[smtp] listen")
        assert [(row["to"], row["recipient"], row["answer"]) for row in rows] == [
            ("local", "alice@office.test", "250 2.1.5 Ok"),
            ("alias", "away@office.test", "250 2.1.5 Ok"),
            ("backup", "somebody@backup.test", "250 2.1.5 Ok"),
            ("foreign", "somebody@far.example", "550 5.7.1 Relaying denied"),
        ]
        assert {row["tls"] for row in rows} == {"either"}

    def test_the_line_that_decides(self, office: Office) -> None:
        rows = self.rows(office, who="stranger", port="[smtp] listen")
        assert [(row["option"], row["where"]) for row in rows] == [
            ("[server] domains", f"{office.ini}:3"),
            ("[accounts] aliases", "default"),
            ("[relay] domains", f"{office.ini}:7"),
            ("[relay] networks", f"{office.ini}:6"),
        ]

    def test_tls_policy(self, office: Office) -> None:
        """Where TLS is required, and missing, that is what decides."""
        office.ini.write_text(MAIL_INI + "[tls]\npolicy = smtp:required\n" + RELAY)
        rows = self.rows(office, who="stranger", port="[smtp] listen", to="local")
        assert [(row["tls"], row["answer"], row["option"]) for row in rows] == [
            ("no", "530 5.7.0 Must issue a STARTTLS command first", "[tls] policy"),
            ("yes", "250 2.1.5 Ok", "[server] domains"),
        ]

    def test_networks(self, office: Office) -> None:
        """On the port of users they have to log in as everybody else."""
        assert all(row["taken"] for row in self.rows(office, who="network 198.51.100.0/24", port="[smtp] listen"))
        assert {row["answer"][:9] for row in self.rows(office, who="network 198.51.100.0/24", tls="yes")} == {
            "530 5.7.0"
        }
        (foreign,) = self.rows(office, who="network 198.51.100.0/24", port="[smtp] listen", to="foreign")
        assert foreign["where"] == f"{office.ini}:6"

    def test_users(self, office: Office) -> None:
        """Once they have logged in, which takes TLS or the same machine."""
        rows = self.rows(office, who="user alice@office.test", to="foreign")
        assert [(row["port"], row["client"], row["tls"], row["login"][:9], row["answer"][:9]) for row in rows] == [
            ("[smtp] listen", "203.0.113.9", "either", "502 5.5.1", "550 5.7.1"),
            ("[submission] listen", "203.0.113.9", "no", "538 5.7.1", "530 5.7.0"),
            ("[submission] listen", "203.0.113.9", "yes", "yes", "250 2.1.5"),
            ("[submission] listen", "127.0.0.1", "either", "yes", "250 2.1.5"),
            ("[submission] listen_tls", "203.0.113.9", "yes", "yes", "250 2.1.5"),
        ]

    def test_the_answers_are_those_of_the_receiver(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        trusts_everybody(monkeypatch)
        assert all(row["taken"] for row in self.rows(office, port="[smtp] listen"))

    def test_a_stranger_is_one(self, office: Office) -> None:
        office.ini.write_text(MAIL_INI + "[relay]\nnetworks = 203.0.113.0/24 2001:db8::/32\n")
        rows = self.rows(office, who="stranger", port="[smtp] listen", to="foreign")
        assert [(row["client"], row["taken"]) for row in rows] == [("198.51.100.9", False), ("3fff::9", False)]

    def test_for_people(self, office: Office) -> None:
        """By port; who is treated alike stands together."""
        lines = office.run("relay", "table").stdout.splitlines()
        assert lines[0].split() == ["TO", "ANSWER", "DECIDES", "WHERE"]
        assert lines[1:4] == [
            "[smtp] listen",
            "  stranger (203.0.113.9)",
            "  user alice@office.test (203.0.113.9), log-in refused: 502 5.5.1",
        ]
        assert lines[7].split("  ")[0:3] == ["", "", " foreign somebody@far.example"]
        assert re.search(r"  550 5\.7\.1 Relaying denied +\[relay\] networks +line 6$", lines[7])
        assert f"Lines are those of {office.ini}." in lines

    def test_the_same_answer_to_each_is_one_line(self, office: Office) -> None:
        said = office.run("relay", "table").stdout.partition("[submission] listen\n")[2].splitlines()
        assert said[:3] == [
            "  stranger (203.0.113.9)",
            "  network 198.51.100.0/24 (198.51.100.1)",
            "  user alice@office.test (203.0.113.9), without TLS, log-in refused: 538 5.7.11",
        ]
        assert said[3].startswith("     everybody  ")
        assert said[4:6] == [
            "  user alice@office.test (203.0.113.9), over TLS, logged in",
            "  user alice@office.test (127.0.0.1), logged in",
        ]

    def test_it_fits_on_a_screen(self, office: Office) -> None:
        assert max(map(len, office.run("relay", "table").stdout.splitlines()[:-1])) <= 120

    def test_what_is_not_there(self, office: Office) -> None:
        """Not even accounts: postmaster exists in any case."""
        office.ini.write_text(MAIL_INI)
        office.users.unlink()
        office.aliases.unlink()
        result = office.run("relay", "table")
        assert result.exit_code == 0
        assert "local postmaster@office.test" in result.stdout
        assert "No alias leads outside of our domains.\nWe are backup for no domain.\n" in result.stdout


class TestTricks:
    def test_there_are_many(self) -> None:
        assert len(TRICKS) > 250
        assert len({(trick.group, trick.name) for trick in TRICKS}) == len(TRICKS)
        assert len({trick.script for trick in TRICKS}) == len(TRICKS)

    def test_what_others_try_is_among_them(self) -> None:
        known = {line for trick in TRICKS for line in trick.script}
        for sender, recipient in json.loads(PROBES.read_text())["probes"]:
            path, _, parameters = sender.partition(" ")
            mail = f"MAIL FROM:<{path}> {parameters}" if parameters else f"MAIL FROM:<{path}>"
            assert mail in known, mail
            assert f"RCPT TO:<{recipient}>".replace("\\0", "\0") in known, recipient

    def test_fake_ends_of_data(self) -> None:
        assert {"\n.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n\0.\r\n", "\r\n.\r\r\n"} <= set(FAKE_ENDS.values())

    def test_the_answer_that_counts_asks_for_a_foreign_recipient(self) -> None:
        """A good recipient alone would be taken, and cry wolf."""
        for trick in TRICKS:
            last = trick.script[-1]
            assert trick.smuggling or trick.spare or last != "RCPT TO:<{v}@{d}>", trick.name


class TestTest:
    def test_denied(self, office: Office) -> None:
        result = office.run("relay", "test")
        assert result.exit_code == 0, result.stdout
        number = 3 * len(TRICKS)  # kinds of port
        assert result.stdout.splitlines()[-1] == f"Relaying denied: {number} of {number} tricks were refused"
        assert result.stderr == ""

    def test_nothing_is_written(self, office: Office) -> None:
        before = sorted(office.folder.rglob("*"))
        office.run("relay", "test")
        office.run("relay", "table")
        assert sorted(office.folder.rglob("*")) == before

    def test_teeth(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rule that trusts everybody is found, with what was said."""
        trusts_everybody(monkeypatch)
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert result.stdout.splitlines()[-1].startswith("OPEN RELAY: ")
        session = result.stdout.partition("Got through: [smtp] listen: sender: a stranger\n")[2]
        assert session.startswith("  S: 220 mail.office.test ESMTP mailstack\n  C: EHLO client.sender.example\n")
        assert "  C: RCPT TO:<target@far.example>\n  S: 250 2.1.5 Ok\n  C: DATA\n" in session
        assert "  It would go to target@far.example\n" in session
        assert result.stdout.splitlines()[0] == result.stdout.splitlines()[-1]

    @pytest.mark.parametrize("what", ["bounces", "forged", "fresh"])
    def test_teeth_for_return_addresses(self, office: Office, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
        """Each of the three locks is needed: the null sender alone, the hash, the age."""
        match what:
            case "bounces":
                monkeypatch.setattr(Resolution, "bounces_only", property(lambda self: False, lambda self, value: None))
            case "forged":
                monkeypatch.setattr(Srs, "_hash", lambda *args: "AAAAAAAA")
            case "fresh":
                monkeypatch.setattr(Srs, "_is_fresh", lambda *args: True)
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert "OPEN RELAY: " in result.stdout
        assert "Got through: [smtp] listen: return address: " in result.stdout

    def test_one_session_of_each_kind(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        trusts_everybody(monkeypatch)
        said = office.run("relay", "test").stdout
        assert said.count("Got through: [smtp] listen: recipient: ") == 1
        assert re.search(r"^[0-9]+ more sessions like these: --verbose shows them all\.$", said, re.MULTILINE)
        everything = office.run("relay", "test", "--verbose").stdout
        assert everything.count("Got through: [smtp] listen: recipient: ") > 10
        assert "more sessions" not in everything

    def test_a_port_that_does_not_greet(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """As one that waits for TLS."""
        monkeypatch.setattr(caller, "GREETING_PATIENCE", 0.01)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            result = office.run("relay", "test", "--against", f"127.0.0.1:{silent.getsockname()[1]}")
        assert result.exit_code == 1
        assert "does not greet; does the port want TLS from the first octet?" in result.stderr

    def test_a_way_onward_from_a_backup_domain(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay, "_ONWARD", relay.re.compile("(?!)"))
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert "Got through: [smtp] listen: backup domain: percent hack\n" in result.stdout
        assert "It would go to target%far.example@backup.test" in result.stdout

    @pytest.mark.parametrize(("end", "name"), [(b"\n.\n", "LF . LF"), (b"\r.\r", "CR . CR")])
    def test_a_fake_end_of_data(self, office: Office, monkeypatch: pytest.MonkeyPatch, end: bytes, name: str) -> None:
        monkeypatch.setattr(dots, "END", end)
        monkeypatch.setattr(dots, "DOT", end)
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert f"Got through: [smtp] listen: end of data: {name}\n" in result.stdout

    def test_a_client_that_may(self, office: Office) -> None:
        result = office.run("relay", "test", "--as", "198.51.100.7")
        assert result.exit_code == 1
        assert "OPEN RELAY: " in result.stdout
        assert f"198.51.100.7 is in [relay] networks ({office.ini}:6)" in result.stderr

    def test_aliases_lead_where_the_postmaster_wants(self, office: Office) -> None:
        office.aliases.write_text("alice: friend@elsewhere.test\n@office.test: friend@elsewhere.test\n")
        result = office.run("relay", "test")
        assert result.exit_code == 0
        assert "came to our own mailboxes or backup domains" in result.stdout

    def test_json(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        played = office.json("relay", "test")
        assert {one["outcome"] for one in played} == {"refused"}
        assert set(played[0]) == {"port", "group", "trick", "outcome", "recipients", "transcript"}
        trusts_everybody(monkeypatch)
        result = office.run("relay", "test", "--json")
        assert result.exit_code == 1
        through = [one for one in json.loads(result.stdout) if one["outcome"] == "through"]
        assert through[0]["recipients"] == ["target@far.example"]
        assert "S: 250 2.1.5 Ok" in through[0]["transcript"]

    @pytest.mark.parametrize(
        "words",
        [("--as", "nobody"), ("--as", "192.0.2.1", "--against", "127.0.0.1:1"), ("--against", "a b")],
    )
    def test_wrong_usage(self, office: Office, words: tuple[str, ...]) -> None:
        assert office.run("relay", "test", *words).exit_code == 64

    def test_no_port(self, office: Office) -> None:
        office.ini.write_text(f"{MAIL_INI}[smtp]\nlisten =\n[submission]\nlisten =\nlisten_tls =\n")
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert "could not be done" in result.stderr

    def test_a_server_that_takes_nothing_proves_nothing(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """Here because of a bug, which is told."""

        def fail(*args: object) -> bool:
            raise RuntimeError("a bug")

        monkeypatch.setattr(RelayRule, "permits", fail)
        result = office.run("relay", "test")
        assert result.exit_code == 1
        assert "the test could not be done, a bug: " in result.stderr
