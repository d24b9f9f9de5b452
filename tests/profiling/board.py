"""Another machine, played by a real sshd on 127.0.0.1 with keys and a home of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from lacking import lacking

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
USER = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
ForceCommand cd {home} && export HOME={home} PATH={path} && eval "$SSH_ORIGINAL_COMMAND"
"""
CLIENT = """\
Host *
IdentityFile {folder}/client_key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile none
KexAlgorithms curve25519-sha256
"""


@dataclass(frozen=True)
class Board:
    """The machine: how to reach it, the client's configuration, its user's home."""

    url: str
    config: Path
    home: Path
    known_hosts: Path

    @property
    def cache(self) -> Path:
        """Where netadapt works there."""
        return self.home / ".cache" / "netadapt"

    def jobs(self) -> list[Path]:
        """The folders of jobs left there."""
        return [path for path in self.cache.glob("*") if path.is_dir()]


@contextmanager
def started(folder: Path) -> Iterator[Board]:
    """A board, its files being in ``folder``; stopped whatever happens."""
    if SSHD is None:
        lacking("there is no sshd; install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # a root's sshd insists on it
    home = folder / "home"
    home.mkdir()
    port = _free_port()
    for name in ("host_key", "client_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    (folder / "sshd_config").write_text(
        SERVER.format(port=port, folder=folder, home=home, path=path)
    )
    (folder / "ssh_config").write_text(CLIENT.format(folder=folder))
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", folder / "sshd_config"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if b"listening" in line:
                break
        else:
            pytest.fail("sshd does not start")
        yield Board(
            f"ssh://{USER}@127.0.0.1:{port}", folder / "ssh_config", home, folder / "known_hosts"
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        if server.stderr is not None:
            server.stderr.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
