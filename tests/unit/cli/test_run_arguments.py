"""Where the options of `lowtide run` end and the program begins."""

import click
import pytest

from lowtide.cli.run import command


def parsed(*args: str) -> tuple[dict[str, object], tuple[str, ...]]:
    with command.make_context("run", list(args)) as ctx:
        own = {name: value for name, value in ctx.params.items() if name != "program" and value is not None}
        return own, ctx.params["program"]


@pytest.mark.parametrize(
    "program",
    [
        ("script.py",),
        ("script.py", "--out", "x", "-m", "y", "--", "--help"),
        ("-m", "uvicorn", "app:app", "--reload", "-h"),
        ("-mpytest", "-x"),
        ("-c", "print(1)", "--out", "x"),
        ("-", "argument"),
    ],
)
def test_all_that_follows_belongs_to_the_program(program: tuple[str, ...]) -> None:
    assert parsed(*program) == ({}, program)
    assert parsed("--out", "here", *program) == ({"out": "here"}, program)
    assert parsed("--out=here", "--", *program) == ({"out": "here"}, program)


def test_values_have_units() -> None:
    own, _ = parsed("--heap-interval", "64KiB", "--snapshot-every", "2m", "script.py")

    assert own == {"heap_interval": 65536, "snapshot_every": 120.0}


@pytest.mark.parametrize("program", [("script.py", "--pacer"), ("-m", "app"), ("--", "-x")])
def test_an_optional_value_is_never_the_next_word(program: tuple[str, ...]) -> None:
    rest = program[program[0] == "--" :]

    assert parsed("--pacer", "--gctrace", *program) == ({"pacer": "advise", "gctrace": "1"}, rest)
    assert parsed("--gctrace=gc.log", "--pacer=act", *program) == ({"pacer": "act", "gctrace": "gc.log"}, rest)


def test_a_value_that_looks_like_the_program_is_a_value() -> None:
    assert parsed("--out", "-m", "script.py") == ({"out": "-m"}, ("script.py",))


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((), "Missing argument"),
        (("--out",), "requires an argument"),
        (("--bad", "script.py"), "No such option"),
        (("--heap-interval", "many", "script.py"), "expected a size"),
        (("--snapshot-every", "1ms", "script.py"), "expected 0"),
    ],
)
def test_a_wrong_option_is_named(args: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        parsed(*args)
    assert complaint in caught.value.format_message()
