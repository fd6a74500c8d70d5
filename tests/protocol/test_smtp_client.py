"""Our client against golden dialogues, whole and octet by octet; and what a dialogue cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.protocol.dots import DotEncoder
from mailstack.protocol.smtp_client import Action, Close, Send, SmtpClient
from mailstack.protocol.smtp_dialogue import Login, Patience, Pour, Secure
from mailstack.protocol.smtp_opening import Manner
from mailstack.protocol.smtp_transaction import Envelope
from tests import cuts
from tests.dialogue import CUTS, Step, check, read

FILES = sorted((Path(__file__).parent.parent / "dialogues" / "smtp_client").glob("*.txt"))
ALICE = Address("alice", "office.test")


def address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


class Play:
    """Drives one client: one letter, or ``letters``, then QUIT. ``[TLS]`` stands for a handshake, which works."""

    def __init__(self, *recipients: str) -> None:
        self.manner = Manner("mx.office.test")
        self.envelope = Envelope(ALICE, {}, 100, False)
        self.recipients(*recipients or ("a@x.test",))
        self.content = b"hello\n"
        self.letters = 1
        self.sent = 0
        self.closed = False
        self.polite = False
        self._client: SmtpClient | None = None

    def recipients(self, *addresses: str) -> None:
        found = {n: Recipient(address(text), address(text)) for n, text in enumerate(addresses)}
        self.envelope = evolve(self.envelope, recipients=found)

    @property
    def client(self) -> SmtpClient:
        assert self._client is not None
        return self._client

    def start(self) -> bytes:
        self._client = SmtpClient(self.manner, Patience())
        return self.do(self._client.start())

    def send(self, data: bytes) -> bytes:
        """What the client says to what the server says."""
        if not data and self._client is None:
            return b""
        said = b"" if self._client else self.start()
        return said + self.do(self.client.receive(data))

    def do(self, actions: Sequence[Action]) -> bytes:
        said = b"".join([self._done(action) for action in actions])
        while self.client.resting:
            if self.sent == self.letters:
                return said + self.do(self.client.quit())
            self.sent += 1
            said += self.do(self.client.send(self.envelope))
        return said

    def _done(self, action: Action) -> bytes:
        if isinstance(action, Send):
            return action.data
        if isinstance(action, Secure):
            return b"[TLS]\r\n" + self.do(self.client.secured())
        if isinstance(action, Pour):
            encoder = DotEncoder()
            body = b"" if action.empty else encoder.encode(self.content)
            return body + encoder.finish() + self.do(self.client.poured())
        assert isinstance(action, Close)
        self.closed, self.polite = True, action.polite
        return b""


class Script(Play):
    """Understands the settings of the dialogue files."""

    def __init__(self) -> None:
        super().__init__()
        self.late = b""

    def setting(self, key: str, value: str) -> None:
        getattr(self, f"set_{key}")(value)

    def set_recipients(self, value: str) -> None:
        self.recipients(*value.split())

    def set_sender(self, value: str) -> None:
        self.envelope = evolve(self.envelope, sender=None if value == "<>" else address(value))

    def set_content(self, value: str) -> None:
        self.content = value.encode().decode("unicode_escape").encode("latin-1")

    def set_eight_bit(self, value: str) -> None:
        self.envelope = evolve(self.envelope, eight_bit=value == "yes")

    def set_tls(self, value: str) -> None:
        self.manner = evolve(self.manner, tls=value)

    def set_lmtp(self, value: str) -> None:
        self.manner = evolve(self.manner, lmtp=value == "yes")

    def set_trusted(self, value: str) -> None:
        self.manner = evolve(self.manner, trusted=value == "yes")

    def set_stranger(self, value: str) -> None:
        self.manner = evolve(self.manner, stranger=value == "yes")

    def set_login(self, value: str) -> None:
        self.manner = evolve(self.manner, login=Login(*value.split()))

    def set_require_tls(self, value: str) -> None:
        self.manner = evolve(self.manner, require_tls=value == "yes")
        self.set_letter_requires_tls(value)

    def set_letter_requires_tls(self, value: str) -> None:
        self.envelope = evolve(self.envelope, require_tls=value == "yes")

    def set_smtputf8(self, value: str) -> None:
        self.envelope = evolve(self.envelope, smtputf8=value == "yes")

    def set_ret(self, value: str) -> None:
        self.envelope = evolve(self.envelope, ret=value)

    def set_envid(self, value: str) -> None:
        self.envelope = evolve(self.envelope, envid=value)

    def set_notify(self, value: str) -> None:
        number, *words = value.split()
        self._evolve_recipient(int(number), notify=frozenset(words))

    def set_orcpt(self, value: str) -> None:
        number, orcpt = value.split()
        self._evolve_recipient(int(number), orcpt=orcpt)

    def _evolve_recipient(self, number: int, **changes: Any) -> None:
        recipients = dict(self.envelope.recipients)
        recipients[number] = evolve(recipients[number], **changes)
        self.envelope = evolve(self.envelope, recipients=recipients)

    def set_reports(self, value: str) -> None:
        assert self.client.next_hop_reports == (value == "yes")

    def set_letters(self, value: str) -> None:
        self.letters = int(value)

    def set_broken(self, value: str) -> None:
        when, _, reply = value.partition(" ")
        assert str(self.client.broken) == reply
        assert self.client.all_sent == (when == "after")

    def set_undecided(self, value: str) -> None:
        assert int(value) not in self.client.answers

    def set_start(self, _: str) -> None:
        self.late = self.start()

    def set_lost(self, value: str) -> None:
        self.do(self.client.lost(value))

    def set_timeout(self, _: str) -> None:
        self.do(self.client.timed_out())

    def set_answer(self, value: str) -> None:
        number, _, reply = value.partition(" ")
        assert self.client.unfit is None
        assert str(self.client.answers[int(number)]) == reply

    def set_unfit(self, value: str) -> None:
        assert str(self.client.unfit) == value
        assert not self.client.answers

    def send(self, data: bytes) -> bytes:
        late, self.late = self.late, b""
        return late + super().send(data)


def reversed_roles(step: Step) -> Step:
    """The runner plays the server here: what the file's server says is sent, what its client says is compared."""
    if step.kind == "S":
        return Step("C", f"{step.text}\r\n".encode().decode("latin-1"), step.number)
    if step.kind == "C":
        return Step("S", step.octets.decode().removesuffix("\r\n"), step.number)
    return step


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_dialogue(file: Path, cut: str) -> None:
    script = Script()
    steps = [reversed_roles(step) for step in read(file)]
    check(steps, script.send, lambda: script.closed, script.setting, CUTS[cut])


def opened(*recipients: str, extensions: bytes = b"") -> Play:
    play = Play(*recipients)
    play.send(b"220 mx\r\n")
    play.send(b"250-mx\r\n" + extensions + b"250 HELP\r\n")
    return play


GROUPS = (
    b"220 mx\r\n",
    b"250-mx\r\n250 PIPELINING\r\n",
    b"250 ok\r\n250 ok\r\n354 go\r\n",
    b"250 first\r\n",
    b"250 ok\r\n550 nobody\r\n554-nobody\r\n554 at all\r\n",
    b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
    b"250 last\r\n",
)


@pytest.mark.parametrize("group", range(len(GROUPS)))
def test_series_at_every_split(group: int) -> None:
    """However what the server says to three letters is cut, the client says the same."""

    def said(pieces: Sequence[bytes]) -> bytes:
        play = Play()
        play.letters = 3
        heard = b"".join(play.send(each) for each in GROUPS[:group])
        heard += b"".join(play.send(each) for each in pieces)
        heard += b"".join(play.send(each) for each in GROUPS[group + 1 :])
        assert play.polite and play.client.answers == {0: Reply(250, "", "last")}
        return heard

    whole = said([GROUPS[group]])
    assert whole.count(b"MAIL") == 3 and whole.count(b"RSET") == 1 and whole.count(b"EHLO") == 1
    for pieces in cuts.everywhere(GROUPS[group]):
        assert said(pieces) == whole


def test_end_of_the_session_behind_a_verdict() -> None:
    """421 in the same segment as 250: the letter is there, and the session is over."""
    play = Play()
    play.letters = 2
    for each in GROUPS[:3]:
        play.send(each)
    assert play.client.receive(b"250 done\r\n421 bye\r\n") == [Close(polite=False)]
    assert play.client.answers == {0: Reply(250, "", "done")}
    assert play.closed is False and not play.client.resting
    assert play.client.broken is None


def test_nothing_is_heard_before_the_first_letter() -> None:
    """A server that goes right after its EHLO was of no use."""
    client = SmtpClient(Manner("mx.office.test"), Patience())
    client.start()
    client.receive(b"220 mx\r\n")
    client.receive(b"250 mx\r\n")
    assert client.resting and client.unfit is None
    client.receive(b"421 bye\r\n")
    assert client.unfit == client.broken == Reply(421, "", "bye")


def test_rest_has_no_time_out_of_its_own() -> None:
    client = SmtpClient(Manner("mx.office.test"), Patience())
    client.start()
    client.receive(b"220 mx\r\n")
    client.receive(b"250 mx\r\n")
    assert not client.timed_out()
    assert client.resting


def test_reply_before_its_command() -> None:
    """A server that answers what was not asked yet is not to be trusted: nothing more is said to it."""
    play = Play()
    play.send(b"220 mx\r\n250 mx\r\n")
    assert play.closed
    assert not play.polite
    assert str(play.client.unfit).startswith("451 4.5.0 Protocol error")


def test_injection_before_tls() -> None:
    """Octets between the 220 and TLS would be taken for protected ones (CVE-2011-0411): the connection ends."""
    play = opened(extensions=b"250-STARTTLS\r\n")
    said = play.send(b"220 go\r\n250 injected\r\n")
    assert said == b""
    assert play.closed
    assert str(play.client.unfit).startswith("451 4.5.0")


def test_half_a_reply_before_tls() -> None:
    """The same with an unfinished line, which the next one would complete."""
    play = opened(extensions=b"250-STARTTLS\r\n")
    play.send(b"220 go\r\n250")
    assert play.closed


def test_extra_reply_after_the_end() -> None:
    """The verdict stands, whatever comes behind it."""
    play = opened()
    for line in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 taken\r\n250 again\r\n"):
        play.send(line)
    assert play.closed
    assert play.client.answers == {0: Reply(250, "", "taken")}


def test_refusal_during_the_data() -> None:
    """A server that has seen enough may say so before the end: that is its verdict."""
    play = opened()
    for line in (b"250 ok\r\n", b"250 ok\r\n"):
        play.send(line)
    (pour,) = play.client.receive(b"354 go\r\n")
    assert isinstance(pour, Pour)
    assert play.client.receive(b"552 5.3.4 too big\r\n") == [Close(polite=False)]
    assert play.client.answers == {0: Reply(552, "5.3.4", "too big")}


def test_approval_during_the_data() -> None:
    """250 before the end cannot be true."""
    play = opened()
    for line in (b"250 ok\r\n", b"250 ok\r\n"):
        play.send(line)
    play.client.receive(b"354 go\r\n")
    play.client.receive(b"250 taken\r\n")
    assert play.client.answers[0].code == 451


def test_nothing_after_the_end() -> None:
    """What happens to a connection that is over changes nothing."""
    play = Play()
    play.send(b"554 no\r\n")
    assert play.closed
    assert not play.client.receive(b"250 ok\r\n")
    assert not play.client.lost("gone")
    assert not play.client.timed_out()
    assert play.client.unfit == Reply(554, "", "no")


def test_line_end_in_an_address_is_not_sent() -> None:
    """An address cannot smuggle a command."""
    play = opened("a\r\nDATA\r\n@x.test", "b@x.test")
    assert play.client.answers[0].status == "5.1.3"


@pytest.mark.parametrize("where", ["orcpt", "envid"])
def test_line_end_in_a_parameter_is_not_sent(where: str) -> None:
    play = Play("a@x.test")
    if where == "envid":
        play.envelope = evolve(play.envelope, envid="x\r\nDATA")
    else:
        recipient = evolve(play.envelope.recipients[0], orcpt="rfc822;x\nDATA")
        play.envelope = evolve(play.envelope, recipients={0: recipient})
    play.send(b"220 mx\r\n")
    assert play.send(b"250-mx\r\n250 DSN\r\n") == b"QUIT\r\n"
    assert play.client.answers[0].status == "5.1.3"


def test_sender_that_cannot_be_sent() -> None:
    play = Play()
    play.envelope = evolve(play.envelope, sender=Address("müller", "office.test"))
    play.send(b"220 mx\r\n")
    play.send(b"250 mx\r\n")
    assert play.client.answers[0].status == "5.6.7"


def test_password_is_not_shown() -> None:
    assert "s3cret" not in repr(Manner("mx", login=Login("user", "s3cret")))


def test_patience() -> None:
    """Each wait has its own time, RFC 5321 §4.5.3.2."""
    play = Play()
    play.start()
    times = [play.client.waiting]
    for line in (b"220 mx\r\n", b"250 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        play.send(line)
        times.append(play.client.waiting)
    assert [wait and wait.timeout for wait in times] == [300, 300, 300, 300, 120, 600]
