"""``mailstack session``: the sessions that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.admin.session import language
from mailstack.server import session_file
from tests.admin.office import Office

LINES = [
    [0, "S", "220 mail.office.test ESMTP mailstack"],
    [1, "C", "EHLO vm"],
    [1, "S", "250-mail.office.test greets vm"],
    [1, "S", "250 SIZE 26214400"],
    [1, "C", "RCPT TO:<victim@far.test>"],
    [2, "S", "550 5.7.1 Relaying denied"],
    [1200, "C", "XY\x1b[31m ***"],
    [1200, "-", "(end of the connection)"],
]
STRANGER = {
    "id": 17,
    "began": 1795530461.9,
    "seconds": 1.2,
    "client": "192.0.2.7",
    "user": "",
    "service": "smtp",
    "port": 2525,
    "tls": "",
    "ended": "lost",
    "queue_ids": [],
    "lines": LINES,
}
ALICE = {
    **STRANGER,
    "id": 18,
    "client": "2001:db8::1",
    "user": "alice@office.test",
    "service": "submission",
    "port": 2587,
    "tls": "TLSv1.3",
    "ended": "QUIT",
    "queue_ids": ["4Xq1", "4Xq2"],
    "lines": [[0, "C", "EHLO laptop"], [1, "S", "250 2.0.0 Ok"], [2, "C", "(message, 5 octets)"]],
}
OPEN = {**STRANGER, "id": 19, "client": "", "port": 0, "ended": "", "lines": []}


@pytest.fixture(autouse=True)
def file(office: Office) -> Path:
    path = session_file.path_below(office.folder / "data")
    path.parent.mkdir(parents=True)
    # In the order of their end.
    path.write_bytes(b"".join(session_file.encode(each) for each in (ALICE, STRANGER, OPEN)))
    return path


def test_list(office: Office) -> None:
    assert office.run("session", "list").stdout.splitlines() == [
        "ID  TIME                  CLIENT       USER               PORT             PROTOCOL  SECONDS  COMMANDS  ENDED"
        "  QUEUE IDS",
        "17  2026-11-24T14:27:41Z  192.0.2.7    -                  smtp:2525        ESMTP     1.20     3         lost"
        "   -",
        "    550 5.7.1 Relaying denied",
        "18  2026-11-24T14:27:41Z  2001:db8::1  alice@office.test  submission:2587  ESMTPSA   1.20     2         QUIT"
        "   4Xq1 4Xq2",
        "19  2026-11-24T14:27:41Z  local        -                  smtp             SMTP      1.20     0         open"
        "   -",
        "3 sessions",
    ]


def test_list_as_json(office: Office) -> None:
    assert office.json("session", "list")[0] == {
        "id": 17,
        "began": "2026-11-24T14:27:41Z",
        "seconds": 1.2,
        "client": "192.0.2.7",
        "user": "",
        "tried": "",
        "service": "smtp",
        "port": 2525,
        "protocol": "ESMTP",
        "tls": "",
        "ended": "lost",
        "commands": 3,
        "refusals": ["550 5.7.1 Relaying denied"],
        "queue_ids": [],
    }


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--failed"], [17]),
        (["--client", "2001:db8::1"], [18]),
        (["--user", "Alice@office.test"], [18]),
        (["--user", "alice"], [18]),
        (["--said", "VICTIM@far"], [17]),
        (["--said", "victim", "--client", "2001:db8::1"], []),
    ],
)
def test_choosing(office: Office, words: list[str], ids: list[int]) -> None:
    assert [each["id"] for each in office.json("session", "list", *words)] == ids


def test_client_is_an_address(office: Office) -> None:
    """In whatever form."""
    assert [each["id"] for each in office.json("session", "list", "--client", "2001:DB8:0::1")] == [18]
    result = office.run("session", "list", "--client", "foo")
    assert result.exit_code == 64
    assert "'foo' is not an IP address." in result.stderr


@pytest.mark.parametrize("tried", ["Bob@office.test", "bob"])
@pytest.mark.parametrize("asked", ["bob@office.test", "BOB"])
def test_who_could_not_log_in(office: Office, file: Path, tried: str, asked: str) -> None:
    file.write_bytes(session_file.encode({**STRANGER, "tried": tried}) + session_file.encode(ALICE))
    assert [each["tried"] for each in office.json("session", "list", "--user", asked)] == [tried]
    assert f"  {tried} (refused)  " in office.run("session", "list", "--user", asked).stdout
    assert f"User:        {tried} (refused)\n" in office.run("session", "show", "17").stdout
    assert office.json("session", "list", "--user", "bobby") == []


def test_a_name_that_was_tried_cannot_steer_the_terminal(office: Office, file: Path) -> None:
    file.write_bytes(session_file.encode({**STRANGER, "tried": "\x1b[31mbob"}))
    for words in (["list"], ["show", "17"]):
        assert "\x1b" not in office.run("session", *words).stdout


def test_nothing_to_list(office: Office, file: Path) -> None:
    assert office.run("session", "list", "--said", "xyzzy").stdout == "No such sessions among those that are kept.\n"
    file.unlink()
    assert office.run("session", "list").stdout == "No sessions yet.\n"
    assert office.json("session", "list") == []
    with office.ini.open("a") as ini:
        ini.write("[log]\nsessions = 0\n")
    assert office.run("session", "list").stdout == "No sessions are kept: [log] sessions = 0.\n"


def test_show(office: Office) -> None:
    """What a client sent cannot steer the terminal."""
    assert office.run("session", "show", "17").stdout == (
        "Session:     17\n"
        "Time:        2026-11-24T14:27:41Z\n"
        "Client:      192.0.2.7\n"
        "User:        -\n"
        "Port:        smtp:2525\n"
        "TLS:         -\n"
        "Seconds:     1.200\n"
        "Ended:       lost\n"
        "Queue ids:   -\n"
        "\n"
        "       0  S: 220 mail.office.test ESMTP mailstack\n"
        "       1  C: EHLO vm\n"
        "       1  S: 250-mail.office.test greets vm\n"
        "       1  S: 250 SIZE 26214400\n"
        "       1  C: RCPT TO:<victim@far.test>\n"
        "       2  S: 550 5.7.1 Relaying denied\n"
        "   1,200  C: XY\\x1b[31m ***\n"
        "   1,200     (end of the connection)\n"
    )


def test_explain(office: Office) -> None:
    lines = office.run("session", "show", "17", "--explain", "--lang", "en").stdout.splitlines()
    place = lines.index("       2  S: 550 5.7.1 Relaying denied")
    assert lines[place + 1].startswith("             Relaying refused: the recipient is not in our domains")
    assert lines[place + 1].endswith("[RFC 5321 §3.6.2]")


def test_explain_in_chinese(office: Office) -> None:
    text = office.run("session", "show", "17", "--explain", "--lang", "zh").stdout
    assert "客户端说明一个收件人" in text
    assert "拒绝中继" in text
    assert "The client" not in text
    assert text.startswith("会话：       17\n时间：       2026-11-24T14:27:41Z\n")  # noqa: RUF001
    assert "\n结束：       断开\n" in text  # noqa: RUF001
    assert "（连接结束）" in text  # noqa: RUF001


def test_show_as_json(office: Office) -> None:
    found = office.json("session", "show", "17", "--explain", "--lang", "en")
    assert found["id"] == 17
    assert found["lines"][3] == {
        "milliseconds": 1,
        "who": "S",
        "text": "250 SIZE 26214400",
        "meaning": "The largest message that the server takes, in octets; the client may tell its size in MAIL.",
        "source": "RFC 1870 §4",
    }
    assert "meaning" not in found["lines"][-1]
    assert "meaning" not in office.json("session", "show", "17")["lines"][0]


@pytest.mark.parametrize("id", ["99", "x\x1b[31m", "-0"])
def test_unknown_session(office: Office, id: str) -> None:
    result = office.run("session", "show", "--", id)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: there is no session ")
    assert "\x1b" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_language_of_the_locale(environment: dict[str, str], chosen: str) -> None:
    assert language(environment) == chosen
