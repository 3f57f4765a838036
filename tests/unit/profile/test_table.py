"""The plain text table."""

from lowtide.profile import Row
from lowtide.profile.formats.table import format_site, format_value, table

LEAF = Row("app.Catalogue.load", "/srv/app.py", 17, 1536, 3072, 112.4)
CALLER = Row("app.<module>", "/srv/app.py", 3, 0, 3072, 0.0)
BINARY = Row("[libc.so.6]", "", 0, 1_234_567, 1_234_567, None)


def test_a_table_has_units_and_shares() -> None:
    assert table([LEAF, CALLER], "bytes", 6144).splitlines() == [
        "   flat      ±  flat%    cum   cum%  site",
        "1.5 KiB  112 B  25.0%  3 KiB  50.0%  app.Catalogue.load /srv/app.py:17",
        "    0 B          0.0%  3 KiB  50.0%  app.<module> /srv/app.py:3",
    ]


def test_a_table_without_standard_errors_has_no_column_for_them() -> None:
    assert table([BINARY], "count", 1_234_567).splitlines() == [
        "     flat   flat%        cum    cum%  site",
        "1,234,567  100.0%  1,234,567  100.0%  [libc.so.6]",
    ]


def test_an_empty_ranking_is_a_header() -> None:
    assert table([], "bytes", 0) == "flat  flat%  cum  cum%  site\n"


def test_what_shrank_is_a_negative_share() -> None:
    assert "-25.0%" in table([Row("app.f", "", 0, -1536, -3072, None)], "bytes", 6144)


def test_values_are_written_in_their_unit() -> None:
    assert format_value(1536, "bytes") == "1.5 KiB"
    assert format_value(1_500_000, "nanoseconds") == "1.5 ms"
    assert format_value(1500, "count") == "1,500"
    assert format_value(1500, "cycles") == "1,500 cycles"


def test_a_site_shows_only_what_is_known() -> None:
    assert format_site(LEAF) == "app.Catalogue.load /srv/app.py:17"
    assert format_site(Row("app.f", "app.py", 0, 1, 1, None)) == "app.f app.py"
    assert format_site(Row("app.py", "app.py", 0, 1, 1, None)) == "app.py"
    assert format_site(BINARY) == "[libc.so.6]"


def test_a_hostile_name_can_neither_move_the_cursor_nor_break_the_line() -> None:
    assert format_site(Row("app.\x1b[2J\n", "caf\udce9.py", 1, 1, 1, None)) == r"app.\x1b[2J\n caf\udce9.py:1"
    assert format_site(Row("app.größe", "", 0, 1, 1, None)) == "app.größe"
