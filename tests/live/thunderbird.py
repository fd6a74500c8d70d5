"""Thunderbird without a screen, told what to do through Marionette, the protocol of Firefox's own tests: JSON over TCP,
each message with its length before it (firefox-source-docs.mozilla.org/testing/marionette/Protocol.html).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.live.ports import free_ports
from tests.live.programs import program
from tests.live.waiting import eventually

PATIENCE = 60  # seconds for what it is told; it takes about two to start

#: Each letter is a file; nothing is asked of a person or of Mozilla.
_PREFERENCES = """\
user_pref("marionette.port", {port});
user_pref("mail.serverDefaultStoreContractID", "@mozilla.org/msgstore/maildirstore;1");
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mail.spotlight.firstRunDone", true);
user_pref("mail.rights.version", 1);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("network.proxy.type", 0);
"""

#: What "Get Messages" does. The account is made when it is not there yet.
_FETCH = """\
const [name, password, port, implicit, keep, done] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { accounts, pop3 } = MailServices;
function newServer() {
  const made = accounts.createIncomingServer(name, "127.0.0.1", "pop3");
  made.port = port;
  made.socketType = implicit ? Ci.nsMsgSocketType.SSL : Ci.nsMsgSocketType.alwaysSTARTTLS;
  made.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  const account = accounts.createAccount();
  account.incomingServer = made;
  account.addIdentity(accounts.createIdentity());
  return made;
}
(async () => {
  const server = accounts.findServer(name, "127.0.0.1", "pop3") || newServer();
  server.password = password;
  server.QueryInterface(Ci.nsIPop3IncomingServer).leaveMessagesOnServer = keep;
  const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
  const code = await new Promise(resolve =>
    pop3.GetNewMail(null, { OnStartRunningUrl() {}, OnStopRunningUrl: (_, code) => resolve(code) }, inbox, server)
  );
  return [code, inbox.filePath.path];
})().then(done, error => done([String(error), ""]));
"""

#: What it writes above each letter.
_OWN_FIELDS = re.compile(rb"(?:X-(?:Account-Key|UIDL|Mozilla-Status2?|Mozilla-Keys):.*\r?\n)*")


class Thunderbird:
    """``with Thunderbird(folder) as program``: its profile is in the folder, and is kept for the next start."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "thunderbird"
        self._profile.mkdir(exist_ok=True)
        (self._port,) = free_ports(1)
        (self._profile / "user.js").write_text(_PREFERENCES.format(port=self._port))
        self._numbers = itertools.count()

    def __enter__(self) -> Thunderbird:
        command = [program("thunderbird"), "--headless", "--no-remote", "--profile", str(self._profile)]
        self._process = subprocess.Popen(
            [*command, "--marionette", "--remote-allow-system-access"],
            env={"HOME": str(self._profile), "PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._connect()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._tell("Marionette:Quit", flags=["eAttemptQuit"])
                self._process.wait(PATIENCE)
        finally:
            self._end()

    def fetch(self, name: str, password: str, port: int, implicit: bool, keep: bool) -> list[bytes]:
        """Get new messages; all that are in its inbox then, without the fields that it adds."""
        arguments = [name, password, port, implicit, keep]
        code, inbox = self._tell("WebDriver:ExecuteAsyncScript", script=_FETCH, args=arguments)["value"]
        assert code == 0, f"Thunderbird: {code}"
        letters = [path.read_bytes() for part in ("new", "cur") for path in Path(inbox, part).glob("*")]
        return [_OWN_FIELDS.sub(b"", letter, count=1) for letter in letters]

    # ---- Marionette

    def _connect(self) -> None:
        connection = eventually(self._connection, PATIENCE)
        assert connection, f"Thunderbird does not listen: {self._process.poll()}"
        self._stream = connection.makefile("rwb")
        connection.close()  # the stream stays open
        self._read()
        self._tell("WebDriver:NewSession", acceptInsecureCerts=True)
        self._tell("Marionette:SetContext", value="chrome")
        self._tell("WebDriver:SetTimeouts", script=PATIENCE * 1000)

    def _connection(self) -> socket.socket | None:
        assert self._process.poll() is None, f"Thunderbird ended with {self._process.returncode}"
        try:
            return socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        except ConnectionRefusedError:
            return None

    def _tell(self, command: str, **parameters: object) -> Any:  # Any: JSON
        message = json.dumps([0, next(self._numbers), command, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._read()
        assert error is None, f"{command}: {error}"
        return result

    def _read(self) -> Any:  # Any: JSON
        length = b"".join(iter(lambda: self._stream.read(1), b":"))
        return json.loads(self._stream.read(int(length)))

    def _end(self) -> None:
        """It, and the processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
