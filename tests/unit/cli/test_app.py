from __future__ import annotations

import subprocess
import sys

import pytest

from fanout.cli.app import COMMANDS, app, load


def run(*words: str) -> int:
    return app(list(words)) or 0


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    assert "130" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


def verbs(name: str) -> list[set[str]]:
    """Return the flags of a command, or of each of its verbs."""
    made = load(name)
    return [
        {flag for parameter in one.params for flag in parameter.opts}
        for one in getattr(made, "commands", {"": made}).values()
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_debug(name: str) -> None:
    assert all("--debug" in flags for flags in verbs(name))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "dev"])
def test_every_command_takes_the_connection_flags(name: str) -> None:
    wanted = {
        "--address",
        "--namespace",
        "--profile",
        "--api-key",
        "--tls",
        "--tls-ca-path",
        "--local",
    }
    assert all(wanted <= flags for flags in verbs(name))


def test_a_wrong_command_is_a_plain_line_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("statsu") == 2
    assert (
        capsys.readouterr().err
        == "error: No such command 'statsu'. Did you mean 'status'?\nsee: fanout --help\n"
    )


def test_a_wrong_flag_is_a_plain_line_with_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "urls", "--jsn") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: No such option: --jsn")
    assert "see: fanout status --help" in err


def test_no_arguments_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Usage: " in capsys.readouterr().out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("fanout 0.")


def test_help_needs_none_of_the_heavy_modules() -> None:
    code = (
        "import sys; from fanout.cli.app import app; app(['--help']); "
        "print([name for name in ('temporalio', 'obstore', 'structlog', 'fanout.client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
