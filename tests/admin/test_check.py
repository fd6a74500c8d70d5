"""``mailstack check``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.admin.certificate import inspect
from mailstack.admin.findings import Level
from tests.admin.office import MAIL_INI, Office

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HOST = "mail.office.test"


def make_key(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    cover = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cover))
    path.chmod(0o600)
    return key


def make_certificate(
    path: Path, key: ec.EllipticCurvePrivateKey, days: int = 90, name: str = HOST, start: datetime = NOW
) -> None:
    subject = x509.Name([])
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))


class TestCertificate:
    @pytest.fixture(autouse=True)
    def _pair(self, tmp_path: Path) -> None:
        self.certificate, self.key_path = tmp_path / "cert.pem", tmp_path / "key.pem"
        self.key = make_key(self.key_path)
        make_certificate(self.certificate, self.key)

    def found(self) -> list[tuple[Level, str]]:
        return [(one.level, one.text) for one in inspect([(self.certificate, self.key_path)], HOST, NOW)]

    def test_a_good_pair(self) -> None:
        assert self.found() == [(Level.OK, f"{self.certificate}: valid until 2027-02-21, with its key")]

    @pytest.mark.parametrize(
        ("days", "level", "text"),
        [(0, Level.WARNING, "expires on"), (13, Level.WARNING, "expires on 2026-12-06"), (14, Level.OK, "valid until")],
    )
    def test_the_end_comes_near(self, days: int, level: Level, text: str) -> None:
        make_certificate(self.certificate, self.key, days)
        ((found, words),) = self.found()
        assert found is level
        assert text in words

    def test_expired_and_not_yet_valid(self) -> None:
        make_certificate(self.certificate, self.key, 10, start=NOW - timedelta(days=20))
        assert self.found() == [(Level.PROBLEM, f"{self.certificate} has expired on 2026-11-13")]
        make_certificate(self.certificate, self.key, 10, start=NOW + timedelta(days=20))
        assert self.found()[0][0] is Level.PROBLEM

    def test_another_name(self) -> None:
        make_certificate(self.certificate, self.key, name="other.test")
        assert self.found()[1] == (Level.WARNING, f"{self.certificate} is not for {HOST}: mail programs will complain")
        make_certificate(self.certificate, self.key, name="*.office.test")
        assert len(self.found()) == 1

    def test_several_pairs(self) -> None:
        """Each is looked at; one that is for our name is enough."""
        second, second_key = self.certificate.with_name("second.pem"), self.key_path.with_name("second key.pem")
        make_certificate(second, make_key(second_key), name="other.test")
        pairs = [(second, second_key), (self.certificate, self.key_path)]
        found = [(one.level, one.text) for one in inspect(pairs, HOST, NOW)]
        assert found == [
            (Level.OK, f"{second}: valid until 2027-02-21, with its key"),
            (Level.OK, f"{self.certificate}: valid until 2027-02-21, with its key"),
        ]
        assert [one.text for one in inspect(pairs, "third.test", NOW)][2:] == [
            "none of the certificates is for third.test: mail programs will complain"
        ]
        make_key(second_key)
        found = [(one.level, one.text) for one in inspect(pairs, HOST, NOW)]
        assert found[0] == (Level.PROBLEM, f"{second_key} is not the key of {second}")
        assert found[1][0] is Level.OK

    def test_another_key(self) -> None:
        make_key(self.key_path)
        assert self.found() == [(Level.PROBLEM, f"{self.key_path} is not the key of {self.certificate}")]

    def test_a_key_with_a_passphrase(self) -> None:
        make_key(self.key_path, b"secret")
        assert "has a passphrase" in self.found()[0][1]

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN X-----\nx\n-----END X-----\n"])
    def test_what_is_no_pem(self, content: bytes) -> None:
        self.key_path.write_bytes(content)
        assert self.found() == [(Level.PROBLEM, f"{self.key_path} is not a PEM key")]
        self.certificate.write_bytes(content)
        assert self.found() == [(Level.PROBLEM, f"{self.certificate} is not a PEM certificate")]

    def test_files_that_are_missing(self) -> None:
        self.key_path.unlink()
        assert self.found() == [(Level.PROBLEM, f"{self.key_path} cannot be read: No such file or directory")]


class TestCheck:
    def test_before_the_first_start(self, office: Office) -> None:
        result = office.run("check")
        assert result.exit_code == 0, result.output
        assert f"ok       {office.ini}: no mistakes\n" in result.stdout
        assert f"warning  {office.users}: not there yet, the first start makes it\n" in result.stdout
        assert not office.users.parent.exists()

    def test_no_users_yet(self, office: Office) -> None:
        office.users.parent.mkdir()
        office.users.touch(0o600)
        office.aliases.touch(0o600)
        result = office.run("check")
        assert result.exit_code == 0
        assert "warning  there are no accounts yet" in result.stdout

    @pytest.mark.parametrize(
        ("users", "aliases", "read"),
        [
            ("alice", "", False),
            ("alice", "postmaster: alice\n", True),
            ("alice", "postmaster: root@elsewhere.test\n", True),
            ("postmaster", "", True),
        ],
    )
    def test_somebody_should_read_what_the_postmaster_gets(
        self, office: Office, users: str, aliases: str, read: bool
    ) -> None:
        office.users.parent.mkdir()
        office.users.write_text(f"{users}@office.test:{{PLAIN}}x\n")
        office.aliases.write_text(aliases)
        result = office.run("check")
        assert result.exit_code == 0, result.output
        assert ("nobody can fetch the mail of postmaster@office.test" not in result.stdout) == read

    def test_broken_lines_and_aliases_to_nobody(self, office: Office) -> None:
        office.users.parent.mkdir()
        office.users.write_text("nonsense\nalice@office.test:{PLAIN}x\n")
        office.aliases.write_text("old: gone\nprogram: |x\n")
        result = office.run("check")
        assert result.exit_code == 1
        problems = [line.partition("  ")[2] for line in result.stdout.splitlines() if line.startswith("problem")]
        assert [problem.partition(": ")[0] for problem in problems] == [
            f"{office.users}:1",
            f"{office.aliases}:2",
            f"{office.aliases}:2",
            f"{office.aliases}:1",
        ]
        assert f"ok       {office.users}: 1 account\n" in result.stdout
        assert result.stderr == "Error: 4 problems, see above\n"

    def test_a_users_file_that_got_lost(self, office: Office) -> None:
        (office.folder / "data/spool").mkdir(parents=True)
        (office.folder / "data/spool/queue.db").touch()
        result = office.run("check")
        assert result.exit_code == 1
        assert f"problem  {office.users} cannot be read: No such file or directory\n" in result.stdout

    def test_secrets_that_everybody_can_read(self, office: Office) -> None:
        office.users.parent.mkdir()
        office.users.touch()
        office.users.chmod(0o644)
        assert f"chmod 600 {office.users}" in office.run("check").stdout

    def test_a_certificate_that_does_not_fit(self, office: Office) -> None:
        make_certificate(office.folder / "cert.pem", make_key(office.folder / "key.pem"), start=datetime.now(UTC))
        make_key(office.folder / "key.pem")
        office.ini.write_text(f"{MAIL_INI}[tls]\ncertificate = cert.pem\nkey = key.pem\n")
        result = office.run("check")
        assert result.exit_code == 1
        assert "is not the key of" in result.stdout

    @pytest.mark.parametrize(
        ("policy", "said"),
        [
            ("smtp:required", "smtp is required: mail from servers without TLS will not come in"),
            ("required", "smtp is required: mail from servers without TLS will not come in"),
            ("pop3:none", "[pop3] listen has no TLS: only programs on this machine can log in there"),
            ("submission:none", "[submission] listen has no TLS: only programs on this machine can log in there"),
        ],
    )
    def test_policies_that_somebody_should_think_about(self, office: Office, policy: str, said: str) -> None:
        assert said not in office.run("check").stdout
        office.ini.write_text(f"{MAIL_INI}[tls]\npolicy = {policy}\n")
        result = office.run("check")
        assert result.exit_code == 0
        assert said in result.stdout

    def test_keys_that_everybody_can_read(self, office: Office) -> None:
        """Each of them."""
        lines = {"certificate": "", "key": ""}
        for name in ("one", "two"):
            make_certificate(office.folder / f"{name}.pem", make_key(office.folder / f"{name} key.pem"))
            (office.folder / f"{name} key.pem").chmod(0o644)
            lines["certificate"] += f"\n  {name}.pem"
            lines["key"] += f"\n  {name} key.pem"
        keys = "\n".join(f"{key} ={value}" for key, value in lines.items())
        office.ini.write_text(f"{MAIL_INI}[tls]\n{keys}\n")
        said = office.run("check").stdout
        for name in ("one", "two"):
            assert f"{office.folder / name} key.pem: everybody on this machine may read" in said

    def test_a_file_where_the_data_folder_should_be(self, office: Office) -> None:
        office.users.parent.touch()
        result = office.run("check")
        assert result.exit_code == 1
        assert "is not a folder" in result.stdout

    def test_templates(self, office: Office) -> None:
        """What is wrong with one, and how many are in use."""
        assert "in the place of ours" not in office.run("check").stdout
        office.ini.write_text(MAIL_INI.replace("[server]", "[server]\nlanguage = zh\ntemplates = texts"))
        result = office.run("check")
        assert result.exit_code == 1
        assert f"problem  {office.folder}/texts: No such file or directory; our own templates are used" in result.stdout
        (office.folder / "texts").mkdir()
        (office.folder / "texts/closing.zh.txt").write_text("再见")
        result = office.run("check")
        assert result.exit_code == 0
        assert f"ok       {office.folder}/texts: 1 template in the place of ours" in result.stdout
        (office.folder / "texts/failure.zh.txt").write_text("{recipient}")
        result = office.run("check")
        assert result.exit_code == 1
        assert "failure.zh.txt: line 1: there is no {recipient} here; there are" in result.stdout

    def test_a_power_of_proxies(self, office: Office) -> None:
        assert "xclient" not in office.run("check").stdout
        office.ini.write_text(MAIL_INI.replace("[server]", "[server]\nxclient = 192.0.2.1 ::1"))
        said = "warning  [server] xclient: whoever connects from 192.0.2.1/32, ::1/128 may say to be any client"
        assert said in office.run("check").stdout

    @pytest.mark.parametrize(
        ("networks", "said"),
        [
            ("17.0.0.0/16 10.0.0.0/8", None),
            ("17.0.0.0/16 18.0.0.0/32", "65,537 public IPv4 addresses may relay"),
            ("2a00::/24", "256 times a /32 of IPv6 may relay"),
        ],
    )
    def test_large_networks(self, office: Office, networks: str, said: str | None) -> None:
        """Too small to be an open relay, and larger than most sites."""
        office.ini.write_text(f"{MAIL_INI}[relay]\nnetworks = {networks}\n")
        result = office.run("check")
        assert result.exit_code == 0
        assert said in result.stdout if said else "may relay" not in result.stdout

    def test_an_open_relay(self, office: Office) -> None:
        """Not a word of it, or a warning: nothing in between."""
        office.ini.write_text(f"{MAIL_INI}[relay]\nnetworks = 0.0.0.0/1 128.0.0.0/1\n")
        refused = office.run("check")
        assert refused.exit_code == 78
        assert refused.stderr.count("\n") == 1
        assert "[relay] networks: this is an open relay: " in refused.stderr
        assert "write i_accept_an_open_relay = yes" in refused.stderr
        office.ini.write_text(f"{office.ini.read_text()}i_accept_an_open_relay = yes\n")
        accepted = office.run("check")
        assert accepted.exit_code == 0
        assert "warning  [relay] networks: this is an open relay, as you accept: " in accepted.stdout

    def test_a_wrong_configuration(self, office: Office) -> None:
        """Every problem, and the code for it."""
        office.ini.write_text("[server]\ndomain = x\n[tls]\ncertificate = gone\n")
        result = office.run("check")
        assert result.exit_code == 78
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert [line.partition(": ")[0] for line in lines] == [
            f"{office.ini}:1",
            f"{office.ini}:2",
            f"{office.ini}:3",
            f"{office.ini}:4",
        ]


def test_who_cannot_use_scram(office: Office) -> None:
    """Some programs choose it as soon as it is on offer; who has no usable password is told of anyway."""
    hash = "{SSHA}m7A2tFeqNpnYliQA7oN1n9UeVDq82VsY"
    office.users.parent.mkdir()
    names = "abcdefg"
    office.users.write_text("".join(f"{name}@office.test:{hash}\n" for name in names) + "x@office.test:{PLAIN}x\n")
    said = office.run("check").stdout
    assert "7 accounts cannot log in with SCRAM (a@office.test, b@office.test, " in said
    assert "e@office.test, …): " in said
    assert "mailstack user passwd ADDRESS" in said
    office.users.write_text("x@office.test:{PLAIN}x\ny@office.test:{NONSENSE}x\n")
    assert "SCRAM" not in office.run("check").stdout
