"""Heat maps as figures: a cell for every value, its text on its colour."""

from __future__ import annotations

from gtimm.report.charts.axes import length
from gtimm.report.charts.heat import Heat, heat_chart
from gtimm.report.scene import Box, Text


def test_cells_stand_in_their_row_and_column_with_text_of_their_step():
    cells = [[Heat("1", 0, "a x"), Heat("2", 8, "a y")], [Heat("3", 4, "b x"), Heat("–", None, "b y")]]
    scene = heat_chart("n", "t", cells, ["a", "b"], ["x", "y"], ("rows", "columns"))
    boxes = [b for b in scene.drawn() if isinstance(b, Box)]
    assert [b.role for b in boxes] == ["heat-0", "heat-8", "heat-4"]
    assert boxes[0].x == boxes[2].x < boxes[1].x
    assert boxes[0].y == boxes[1].y < boxes[2].y
    roles = {t.text: t.role for t in scene.drawn() if isinstance(t, Text)}
    assert (roles["1"], roles["2"], roles["–"]) == ("on-heat-0", "on-heat-8", "muted")
    assert scene.description == "a x; a y; b x; b y"


def test_long_names_of_columns_are_turned_and_fit_above():
    names = ["PlayingCello", "Archery"]
    scene = heat_chart("n", "t", [[Heat("1", 0, ""), Heat("2", 1, "")]], ["a"], names, ("", ""))
    turned = [t for t in scene.drawn() if isinstance(t, Text) and t.text in names]
    assert [t.angle for t in turned] == [-90, -90]
    assert min(b.y for b in scene.drawn() if isinstance(b, Box)) > 14 + length(names[0], size=11)
