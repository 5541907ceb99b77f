"""The charts: what they draw, what they leave out, and that no text of others becomes markup."""

import re
from xml.etree import ElementTree as ET

import pytest
from django.template.loader import render_to_string

from portal.drawing import Point, Series, in_words, trend

HOSTILE = '"><script>alert(1)</script><x style="a" y=\'&'


def parsed(drawing):
    return ET.fromstring(drawing)  # noqa: S314  # our own drawing


def by_class(drawing, tag, name):
    return [e for e in parsed(drawing).iter(tag) if e.get("class") == name]


def texts(drawing):
    return [e.text.replace("\xa0", " ") for e in parsed(drawing).iter("text")]


def some(*values):
    return [
        Point(f"week {i}", v, None if v is None else 10 + i) for i, v in enumerate(values, start=1)
    ]


def test_a_trend_without_periods_says_unknown_and_draws_no_line():
    drawing = trend([], unit="%", title="Satisfied")
    assert "unknown" in texts(drawing)
    assert not by_class(drawing, "polyline", "line")
    assert "No period has a known value yet." in drawing


def test_a_trend_of_one_period_is_a_labelled_dot_without_a_line():
    drawing = trend(some(84.25), unit="%", title="Satisfied")
    assert len(by_class(drawing, "circle", "dot")) == 1
    assert not by_class(drawing, "polyline", "line")
    assert "84.2 %" in texts(drawing)


def test_equal_values_lie_on_one_height_inside_the_drawing():
    drawing = trend(some(50, 50, 50), unit="%", title="Satisfied")
    heights = {float(dot.get("cy")) for dot in by_class(drawing, "circle", "dot")}
    assert len(heights) == 1
    assert 12 < heights.pop() < 96


@pytest.mark.parametrize("value", [0, 100, 1e-9, 1e9, -5])
def test_equal_values_of_any_size_draw(value):
    for dot in by_class(trend(some(value, value), unit="h", title="T"), "circle", "dot"):
        assert 0 <= float(dot.get("cy")) <= 118


def test_an_unknown_period_interrupts_the_line_and_is_marked():
    drawing = trend(some(50, 60, None, 70, 80), unit="%", title="Satisfied")
    lines = by_class(drawing, "polyline", "line")
    assert [len(line.get("points").split()) for line in lines] == [2, 2]
    assert len(by_class(drawing, "line", "gap")) == 1
    assert "week 3: unknown" in drawing
    assert "Unknown in 1 of 5 periods." in drawing


def test_a_known_period_between_two_unknown_ones_stays_visible():
    drawing = trend(some(None, 60, None), unit="%", title="Satisfied")
    assert len(by_class(drawing, "circle", "dot")) == 1
    assert "60 %" in texts(drawing)


def test_higher_values_stand_higher():
    first, second = by_class(trend(some(10, 20), unit="", title="T"), "circle", "dot")
    assert float(second.get("cy")) < float(first.get("cy"))


def test_the_target_is_drawn_where_its_value_would_be():
    drawing = trend(some(60, 80), target=80, unit="%", title="T")
    (line,) = by_class(drawing, "line", "target")
    last = by_class(drawing, "circle", "dot")[-1]
    assert line.get("y1") == last.get("cy")
    assert "target 80 %" in texts(drawing)


def test_a_target_beside_the_last_value_does_not_run_into_its_label():
    drawing = trend(some(60, 81), target=80, unit="%", title="T")
    value, target = (by_class(drawing, "text", f"{kind}-label")[0] for kind in ("value", "target"))
    assert abs(float(value.get("y")) - float(target.get("y"))) >= 12


def test_a_target_far_from_the_values_is_still_inside_the_drawing():
    drawing = trend(some(3, 4), target=90, unit="%", title="T")
    (line,) = by_class(drawing, "line", "target")
    assert 12 <= float(line.get("y1")) <= 96


def test_limits_span_their_values():
    drawing = trend(some(50, 60), limits=(50, 60), unit="%", title="T")
    (band,) = by_class(drawing, "rect", "limits")
    first, second = (float(d.get("cy")) for d in by_class(drawing, "circle", "dot"))
    assert float(band.get("y")) == pytest.approx(second, abs=0.11)
    assert float(band.get("height")) == pytest.approx(first - second, abs=0.11)


def test_shares_keep_an_axis_between_0_and_100():
    labels = texts(trend(some(1, 99), unit="%", title="T"))
    assert "0%" in labels
    assert "100%" in labels


def test_every_dot_says_its_period_value_and_n():
    drawing = trend(some(50, 60), unit="%", title="T", counted="tickets").replace("\xa0", " ")
    assert "<title>week 2: 60 %, n = 12 tickets</title>" in drawing


def test_the_drawing_is_an_image_with_a_name_and_a_description():
    root = parsed(trend(some(50, 60), target=55, unit="%", title="Satisfied, by week"))
    assert root.get("role") == "img"
    assert root.find("title").text == "Satisfied, by week"
    assert "Target 55" in root.find("desc").text


def test_nothing_of_the_drawing_needs_an_inline_style_or_script():
    drawing = trend(some(50, None, 60), target=55, limits=(40, 70), unit="%", title="T")
    assert not re.search(r"\sstyle=|<style|<script|\son\w+=", drawing)


def test_a_hostile_title_label_unit_or_note_stays_text():
    drawing = trend(
        [Point(HOSTILE, 1.0, 3, HOSTILE), Point(HOSTILE, None, 0, HOSTILE)],
        target=2,
        unit=HOSTILE,
        title=HOSTILE,
        counted=HOSTILE,
    )
    root = parsed(drawing)
    assert {e.tag for e in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "g",
        "line",
        "polyline",
        "rect",
        "circle",
        "text",
    }
    assert not any("style" in e.attrib for e in root.iter())
    assert root.find("title").text == HOSTILE


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        trend(some(value), unit="", title="T")


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "%", "unknown"),
        (84.25, "%", "84.2 %"),
        (84.0, "%", "84 %"),
        (100, "%", "100 %"),
        (1234.5, "h", "1234 h"),
        (0.04, "", "0.04"),
        (-0.001, "", "0"),
        (-2.5, "points", "\N{MINUS SIGN}2.5 points"),
    ],
)
def test_values_are_printed_with_their_unit(value, unit, words):
    assert in_words(value, unit).replace("\xa0", " ") == words


def test_a_chart_is_followed_by_all_its_figures():
    series = Series(
        title="Satisfied <by week>",
        points=[Point("week 1", 50.0, 12), Point("week 2", None, 3, "fewer than 5 answers")],
        unit="%",
        target=80,
        limits=(30, 70),
    )
    page = render_to_string("parts/trend.html", {"series": series}).replace("\xa0", " ")
    assert page.index("<svg") < page.index("<table")
    for words in ("50 %", "12", "unknown", "fewer than 5 answers", "target 80 %", "30 % to 70 %"):
        assert words in page[page.index("<table") :]
    assert "<by week>" not in page


def test_limits_of_each_point_are_one_outline_for_each_stretch():
    usual = [(40, 50, 60), (45, 50, 55), None, (30, 35, 40), (30, 45, 60)]
    points = [Point(f"week {n}", 50, 12, usual=one) for n, one in enumerate(usual)]
    drawing = trend(points, unit="%", title="T")
    first, second = by_class(drawing, "path", "limits")
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", first.get("d"))]
    assert first.get("d").endswith("z")
    tops = re.findall(r"V([\d.]+)H", first.get("d"))
    assert len(tops) == 4  # two upper limits there, two lower ones back
    assert float(tops[0]) < float(tops[1]) < float(tops[2]) < float(tops[3])  # 60, 55, 45, 40
    assert max(numbers) <= 300
    assert len(re.findall("V", second.get("d"))) == 4
    means = by_class(drawing, "line", "mean")
    assert len(means) == 3  # of the first two points one, of the last two one each
