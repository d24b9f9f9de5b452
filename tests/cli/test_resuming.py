"""After an interrupt one command is named: that of the outermost block."""

import signal

import pytest

from netadapt.cli.resuming import resumable


def interrupted(*commands):
    if not commands:
        raise KeyboardInterrupt
    with resumable(lambda: commands[0]):
        interrupted(*commands[1:])


def test_the_command_that_goes_on_is_named(capsys):
    with pytest.raises(KeyboardInterrupt):
        interrupted("netadapt train --resume --out x")
    assert capsys.readouterr().err == "stopped; go on with: netadapt train --resume --out x\n"


def test_of_nested_blocks_the_outermost_speaks(capsys):
    for _ in range(2):  # and again: nothing is left of the first time
        with pytest.raises(KeyboardInterrupt):
            interrupted("netadapt demo", "netadapt train --resume --out demo/base")
        assert capsys.readouterr().err == "stopped; go on with: netadapt demo\n"


def test_where_nothing_was_begun_nothing_is_named(capsys):
    with pytest.raises(KeyboardInterrupt):
        interrupted(None)
    assert capsys.readouterr().err == ""


def test_what_ends_well_says_nothing(capsys):
    with resumable(lambda: "netadapt demo"):
        pass
    assert capsys.readouterr().err == ""


def test_a_second_ctrl_c_does_not_cost_the_line_that_says_how_to_go_on(capsys):
    def command():
        signal.raise_signal(signal.SIGINT)
        return "netadapt demo"

    with pytest.raises(KeyboardInterrupt), resumable(command):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped; go on with: netadapt demo\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
