"""Where the Temporal server is: the flags that every command shares, and the connection they make."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from fanout.cli import say
from fanout.cli.flags import FlagGroup
from fanout.errors import NoServer, RunNotFound, ServerRefuses, UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

    from fanout.cli.server import Found
    from fanout.plugin import Plugin

_PANEL = "Connection"


def _flag(names: str, variable: str, text: str, **more: Any) -> Any:
    # One helper for all: a flag has a FANOUT_ variable, and the one that the `temporal` command reads.
    variables = [f"FANOUT_{variable}", f"TEMPORAL_{variable}"]
    return typer.Option(
        *names.split(),
        envvar=variables,
        help=f"{text} [{variables[1]}]",
        show_envvar=False,
        rich_help_panel=_PANEL,
        **more,
    )


@dataclass(frozen=True)
class Connection(FlagGroup):
    """How to reach the Temporal server; the flags of the `temporal` command."""

    address: Annotated[
        str | None, _flag("--address", "ADDRESS", "Host and port of the server; default localhost:7233.")
    ] = None
    namespace: Annotated[
        str | None, _flag("--namespace -n", "NAMESPACE", "Namespace; default `default`.")
    ] = None
    profile: Annotated[
        str | None, _flag("--profile", "PROFILE", "Profile in Temporal's configuration file.")
    ] = None
    api_key: Annotated[str | None, _flag("--api-key", "API_KEY", "API key, as for Temporal Cloud.")] = None
    tls: Annotated[bool | None, _flag("--tls/--no-tls", "TLS", "Use TLS.")] = None
    tls_ca_path: Annotated[
        Path | None,
        _flag("--tls-ca-path", "TLS_SERVER_CA_CERT_PATH", "Certificate of the server's authority."),
    ] = None
    tls_cert_path: Annotated[
        Path | None, _flag("--tls-cert-path", "TLS_CLIENT_CERT_PATH", "Certificate of this client.")
    ] = None
    tls_key_path: Annotated[
        Path | None, _flag("--tls-key-path", "TLS_CLIENT_KEY_PATH", "Private key of this client.")
    ] = None
    tls_server_name: Annotated[
        str | None,
        _flag("--tls-server-name", "TLS_SERVER_NAME", "Name that the server's certificate must have."),
    ] = None
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Use the dev server of this folder, and start it if it is not running.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    bare: Annotated[bool, typer.Option("--bare-connection", hidden=True)] = False
    """Whether variables and profiles, which are about another server, say nothing of this connection."""

    @classmethod
    def pack(cls, values: dict[str, Any], typed: Collection[str]) -> Self:
        """Make the connection; to a dev server of our own only what was typed counts."""
        if values["local"] or values["bare"]:
            values = {name: value for name, value in values.items() if name in typed}
        return cls(**values)

    @asynccontextmanager
    async def located(self) -> AsyncIterator[Connection]:
        """Find out which server it is; with `--local`, hold on to this folder's dev server.

        Yields:
            The same connection, to an address where one is known.

        Raises:
            NoServer: It cannot be started.
            UsageError: Flags contradict each other.
        """
        if self.bare:
            yield self
            return
        if not self.local:
            address = self.address or self._folders_server()
            yield replace(self, address=address)
            return
        from fanout.cli import server

        if self != Connection(local=True):
            raise UsageError(
                "--local and --address (or --namespace, --profile, --api-key, --tls…) contradict each other: "
                "give one of them"
            )
        async with server.use(Path.cwd()) as found:
            _remember_web(found)
            yield Connection(address=found.address, bare=True)

    @asynccontextmanager
    async def client(self, plugin: Plugin | None = None) -> AsyncIterator[Client]:
        """Connect; with `--local` to this folder's dev server, which runs as long as somebody uses it.

        Raises:
            NoServer: None answers; the text says what to do.
            UsageError: Flags do not go together, or a file is missing.
        """
        async with self.located() as found:
            client = await found.connect(plugin)
            try:
                yield client
            except RunNotFound as error:
                target = client.service_client.config.target_host
                raise RunNotFound(f"{error}{'' if self.local else _advice(target)}") from error

    async def connect(self, plugin: Plugin | None = None) -> Client:
        """Connect to the server that the flags or the environment name; see `client` for this folder's.

        Raises:
            NoServer: None answers; the text says what to do.
        """
        from fanout import client

        _quiet_core()
        try:
            if self.bare:
                return await _connect_bare(str(self.address), plugin)
            return await client.connect(
                self.address,
                namespace=self.namespace,
                profile=self.profile,
                api_key=self.api_key,
                tls=self._tls(),
                plugin=plugin,
            )
        except ServerRefuses:
            raise
        except NoServer as error:
            raise NoServer(f"{error}{'' if self.bare else _advice()}") from error

    def command_line(self) -> list[str]:
        """Return the flags that make a child process connect as this one does; secrets travel by environment."""
        given: dict[str, Any] = {
            "--address": self.address,
            "--namespace": self.namespace,
            "--profile": self.profile,
            "--tls-ca-path": self.tls_ca_path,
            "--tls-cert-path": self.tls_cert_path,
            "--tls-key-path": self.tls_key_path,
            "--tls-server-name": self.tls_server_name,
        }
        flags = [part for name, value in given.items() if value is not None for part in (name, str(value))]
        flags += [] if self.tls is None else ["--tls" if self.tls else "--no-tls"]
        return flags + (["--bare-connection"] if self.bare else [])

    def environment(self) -> dict[str, str]:
        """Return the variables that a child process needs beside `command_line`."""
        return {"FANOUT_API_KEY": self.api_key} if self.api_key else {}

    def _folders_server(self) -> str | None:
        """Return the address of the dev server that runs for this folder, where nothing else was asked for."""
        if self.profile or self.api_key or self._configured():
            return None
        from fanout.cli import server

        found = server.running(Path.cwd())
        if found is None:
            return None
        _remember_web(found)
        if found.address in {"localhost:7233", "127.0.0.1:7233"}:
            return None
        say.note(f"using the dev server of this folder at {found.address}", style="dim")
        return found.address

    def _configured(self) -> bool:
        from temporalio.envconfig import ClientConfigProfile

        try:
            return bool(ClientConfigProfile.load(profile=self.profile).address)
        except Exception:
            return True  # a broken configuration is for `connect` to report

    def _tls(self) -> Any:
        paths = {
            "server_root_ca_cert": self.tls_ca_path,
            "client_cert": self.tls_cert_path,
            "client_private_key": self.tls_key_path,
        }
        if not any(paths.values()) and self.tls_server_name is None:
            return self.tls
        if self.tls is False:
            raise UsageError("--no-tls goes with none of the other --tls flags")
        if (self.tls_cert_path is None) != (self.tls_key_path is None):
            raise UsageError("--tls-cert-path and --tls-key-path go together")
        from temporalio.service import TLSConfig

        from fanout import profiles

        said: dict[str, Any] = {name: _read(path) for name, path in paths.items() if path is not None}
        if self.tls_server_name is not None:
            said["domain"] = self.tls_server_name
        configured = profiles.load(self.profile).get("tls")
        # What is not said stays as it is configured, such as an authority in the profile's file.
        return replace(configured if isinstance(configured, TLSConfig) else TLSConfig(), **said)


async def _connect_bare(address: str, plugin: Plugin | None) -> Client:
    from temporalio.client import Client

    from fanout.plugin import Plugin

    try:
        return await Client.connect(address, plugins=[plugin or Plugin()])
    except RuntimeError as error:
        raise NoServer(f"the dev server at {address} does not answer: {error}") from None


def _advice(asked: str | None = None) -> str:
    """Say that this folder has a dev server's runs, to who asked another server in vain."""
    from fanout.cli import server

    here = Path.cwd()
    found = server.running(here)
    if found is not None:
        if asked is not None and asked.replace("localhost", "127.0.0.1") == found.address:
            return ""
        return "\nthis folder has a dev server of its own: --local uses it"
    if server.database(here).exists():
        return "\nthis folder has the runs of a dev server that is not running: `fanout dev` starts it, or add --local"
    return ""


def _remember_web(found: Found) -> None:
    """Tell `Run.web_url` where the pages are: a dev server may have them at any port."""
    if found.ui_url:
        os.environ.setdefault("FANOUT_WEB_URL", found.ui_url)


def _quiet_core() -> None:
    """Keep the lines of Temporal's Rust core off stdout, where our data goes, and its news of retries off the terminal.

    A command says itself that a server does not answer.
    """
    from fanout.observability.core import set_up_core

    with contextlib.suppress(RuntimeError):  # another connection of this process has done it
        set_up_core(level="error")


def _read(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
