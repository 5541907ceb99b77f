"""Small SVG charts: a trend with its target and limits.

Nothing here is styled: the policy of the pages refuses inline styles, so shapes carry classes of
`portal/static/wellserved/style.css` (section 14) and follow light, dark and print with it.
`templates/parts/trend.html` shows a `Series` as a chart followed by its table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

#: The drawing's own units: about one to one in a card on a phone of 320 px, more elsewhere.
WIDTH = 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 36.0, 84.0, 12.0, 22.0
#: Two lines of text closer than this run into each other.
_LINE = 14.0
_EMPTY = SafeString("")


@dataclass(frozen=True, slots=True)
class Frame:
    """How large a trend is drawn; around it is room for its labels."""

    #: The class of the drawing, by which style sheets tell sizes apart.
    name: str
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where the last period stands; lines go a little further."""
        return self.width - _RIGHT

    @property
    def base(self) -> float:
        """Where the lowest value stands."""
        return self.height - _BOTTOM


NARROW = Frame("narrow", WIDTH, 118.0)
#: For a page that is about one chart: drawn where there is room, in place of the narrow one.
WIDE = Frame("wide", 900.0, 260.0)
#: Periods are named no closer together than this.
_BETWEEN_NAMES = 150.0


@dataclass(frozen=True, slots=True)
class Point:
    """One period of a trend; `value` is in the chart's unit, None where it is unknown."""

    label: str
    value: float | None
    n: int | None = None
    #: Why the value is unknown, or what else a reader must know of this period.
    note: str = ""
    #: What the series usually does here (low, mean, high); None where too little is known.
    usual: tuple[float, float, float] | None = None
    #: Whether the point asks for a look, and whether the series begins anew with it.
    asks: bool = False
    anew: bool = False
    #: What is known to have happened in the period: marked, and told with its note.
    happened: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Everything `templates/parts/trend.html` needs to show a chart and its table."""

    title: str
    points: Sequence[Point]
    unit: str = ""
    target: float | None = None
    limits: tuple[float, float] | None = None
    #: What n counts, in the plural: "answers", "tickets".
    counted: str = "answers"

    @property
    def drawing(self) -> SafeString:
        """The chart as cards show it."""
        return self._drawn(NARROW)

    @property
    def large(self) -> SafeString:
        """The chart for a page of its own: wide, and narrow for where that has no room."""
        return format_html("{}{}", self._drawn(NARROW), self._drawn(WIDE))

    def _drawn(self, frame: Frame) -> SafeString:
        return trend(
            self.points,
            target=self.target,
            limits=self.limits,
            unit=self.unit,
            title=self.title,
            counted=self.counted,
            frame=frame,
        )

    @property
    def rows(self) -> list[dict[str, str]]:
        """The chart's figures in words, oldest first: label, value, n, usual range, note."""
        return [
            {
                "label": point.label,
                "value": in_words(point.value, self.unit),
                "n": "unknown" if point.n is None else str(point.n),
                "usual": self._usual(point),
                "note": "; ".join(filter(None, (point.note, point.happened))),
            }
            for point in self.points
        ]

    @property
    def table_rows(self) -> SafeString:
        """The same as rows of a table; a note stands in a row of its own below its period."""
        told = []
        for row in self.rows:
            cells = [row["value"], row["n"], *([row["usual"]] if self.has_limits else [])]
            told.append(format_html('<tr><th scope="row">{}', row["label"]))
            told.append(format_html_join("", "<td>{}", ([cell] for cell in cells)))
            if row["note"]:
                told.append(
                    format_html(
                        '<tr><td colspan="{}" class="quiet">{}: {}',
                        len(cells) + 1,
                        row["label"],
                        row["note"],
                    )
                )
        return format_html_join("", "{}", ([piece] for piece in told))

    @property
    def has_limits(self) -> bool:
        """Whether any point has limits of its own."""
        return any(point.usual for point in self.points)

    def _usual(self, point: Point) -> str:
        if point.usual is None:
            return "not known"
        low, _, high = point.usual
        return f"{in_words(low, self.unit)} to {in_words(high, self.unit)}"

    @property
    def target_words(self) -> str:
        """The target with its unit, or nothing where there is none."""
        return "" if self.target is None else in_words(self.target, self.unit)

    @property
    def limits_words(self) -> str:
        """The range of ordinary variation, or nothing where there is none."""
        if self.limits is None:
            return ""
        return " to ".join(in_words(limit, self.unit) for limit in self.limits)


def in_words(value: float | None, unit: str) -> str:
    """A value as charts print it: "84.3 %", "unknown"; three figures are enough for an eye."""
    if value is None:
        return "unknown"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 1 else 2
    number = f"{value:.{digits}f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    number = "0" if number == "-0" else number.replace("-", "\N{MINUS SIGN}")
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def trend(
    points: Sequence[Point],
    *,
    target: float | None = None,
    limits: tuple[float, float] | None = None,
    unit: str,
    title: str,
    counted: str = "answers",
    frame: Frame = NARROW,
) -> SafeString:
    """A line over periods, oldest first; unknown periods interrupt it and are marked below.

    `target` and `limits` (low, high) are in the same unit as the values. Raises ValueError for
    a value, target or limit that is not a finite number.
    """
    _refuse_infinite([*(point.value for point in points), target, *(limits or ())])
    known = [point.value for point in points if point.value is not None]
    usual = [end for point in points for end in point.usual or ()]
    _refuse_infinite(usual)
    low, high = _axis(
        [*known, *usual, *(limits or ()), *([] if target is None else [target])], unit
    )
    across = _Scale(0, max(len(points) - 1, 1), _LEFT + 4, frame.right)
    if len(points) == 1:
        across = _Scale(-1, 1, _LEFT + 4, frame.right)
    up = _Scale(low, high, frame.base, _TOP)
    places = [
        (point, across(i), None if point.value is None else up(point.value))
        for i, point in enumerate(points)
    ]
    parts = [
        _limits_band(limits, up, frame),
        *_usual_bands(places, up, frame),
        _axis_lines(low, high, unit, up, frame),
        _target_line(target, up, frame),
        *_lines(places),
        *(_dot(place, unit, counted, frame) for place in places),
        _end_labels(places, target, unit, up, frame),
        _period_labels(points, across, frame),
    ]
    if not known:
        parts.append(_text((_LEFT + frame.right) / 2, _TOP + 18, "middle", "unknown"))
    return _svg(title, _trend_in_words(points, target, unit), frame, parts)


# --- Scales ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps values onto the drawing; what lies outside is drawn at the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def _axis(values: Sequence[float], unit: str) -> tuple[float, float]:
    """Round ends that hold all values with room around them; shares stay within 0 and 100."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if unit == "%" and not values:
        return 0.0, 100.0
    room = (high - low) * 0.1 or max(abs(high) * 0.1, 0.5)
    step = 10.0 ** math.floor(math.log10(high - low + 2 * room))
    step /= 1 if (high - low + 2 * room) / step > 4 else 2
    bottom = math.floor((low - room) / step) * step
    top = math.ceil((high + room) / step) * step
    if low >= 0:
        bottom = max(bottom, 0.0)
    if unit == "%" and high <= 100:
        top = min(top, 100.0)
    return bottom, top


def _refuse_infinite(values: Sequence[float | None]) -> None:
    for value in values:
        if value is not None and not math.isfinite(value):
            raise ValueError(f"A chart draws finite numbers; unknown is None, not {value}.")


# --- Parts of the trend ------------------------------------------------------------

_Place = tuple[Point, float, float | None]


def _limits_band(limits: tuple[float, float] | None, up: _Scale, frame: Frame) -> SafeString:
    if limits is None:
        return _EMPTY
    top, bottom = up(limits[1]), up(limits[0])
    return _rect("limits", _LEFT, top, frame.right - _LEFT + 8, bottom - top)


def _usual_bands(places: Sequence[_Place], up: _Scale, frame: Frame) -> list[SafeString]:
    """The usual range about each point with its mean, and a line where the series begins anew."""
    parts = []
    step = places[1][1] - places[0][1] if len(places) > 1 else 16.0
    for limited, run in groupby(places, lambda place: place[0].usual is not None):
        if limited:
            parts.append(_band(list(run), step, frame, up))
    for mean, run in groupby(places, lambda place: place[0].usual and place[0].usual[1]):
        if mean is not None:
            stretch = list(run)
            start, _ = _around(stretch[0][1], step, frame)
            _, end = _around(stretch[-1][1], step, frame)
            parts.append(_line("mean", start, up(mean), end, up(mean)))
    for point, x, _ in places:
        if point.anew:
            edge = x - step / 2
            parts.append(_line("anew", edge, _TOP, edge, frame.base))
        if point.happened:
            parts.append(_mark(point, x, frame))
    return parts


def _around(x: float, step: float, frame: Frame) -> tuple[float, float]:
    """The stretch of the drawing that is a point's own."""
    return max(x - step / 2, _LEFT), min(x + step / 2, frame.right + 8)


def _band(run: Sequence[_Place], step: float, frame: Frame, up: _Scale) -> SafeString:
    """The usual range of successive points: out along the upper limits and back along the lower.

    One outline, because each point may have limits of its own; a band is never thinner than a line.
    """
    upper, lower = "", ""
    for point, x, _ in run:
        assert point.usual is not None
        low, _, high = point.usual
        top, bottom = up(high), max(up(low), up(high) + 1)
        start, end = _around(x, step, frame)
        upper += f"V{_n(top)}H{_n(end)}"
        lower = f"V{_n(bottom)}H{_n(start)}{lower}"
    begin = f"M{_n(_around(run[0][1], step, frame)[0])} {_n(frame.base)}"
    return format_html('<path class="limits" d="{}{}{}z"/>', begin, upper, lower)


def _mark(point: Point, x: float, frame: Frame) -> SafeString:
    """A line with a flag where something is known to have happened."""
    return format_html(
        '<g><title>{}</title>{}<path class="flag" d="M{} {}l6 3l-6 3z"/></g>',
        f"{point.label}: {point.happened}",
        _line("happened", x, _TOP, x, frame.base),
        _n(x),
        _n(_TOP),
    )


def _axis_lines(low: float, high: float, unit: str, up: _Scale, frame: Frame) -> SafeString:
    right = frame.right + 8
    short = unit if unit == "%" else ""
    return format_html_join(
        "",
        "{}{}",
        (
            (
                _line("axis", _LEFT, up(end), right, up(end)),
                _text(_LEFT - 5, up(end) + 4, "end", in_words(end, short).replace("\xa0", "")),
            )
            for end in (low, high)
        ),
    )


def _target_line(target: float | None, up: _Scale, frame: Frame) -> SafeString:
    if target is None:
        return _EMPTY
    return _line("target", _LEFT, up(target), frame.right + 8, up(target))


def _lines(places: Sequence[_Place]) -> list[SafeString]:
    """One line for each run of known periods: a gap is never drawn over."""
    runs = [list(run) for known, run in groupby(places, lambda p: p[2] is not None) if known]
    return [
        format_html(
            '<polyline class="line" points="{}"/>',
            " ".join(f"{_n(x)},{_n(y)}" for _, x, y in run if y is not None),
        )
        for run in runs
        if len(run) > 1
    ]


def _dot(place: _Place, unit: str, counted: str, frame: Frame) -> SafeString:
    point, x, y = place
    words = f"{point.label}: {in_words(point.value, unit)}"
    if point.n is not None:
        words += f", n = {point.n} {counted}"
    if point.note:
        words += f" ({point.note})"
    if y is None:
        base = frame.base
        return format_html(
            '<g><title>{}</title>{}<rect class="hit" x="{}" y="{}" width="12" height="12"/></g>',
            words,
            _line("gap", x, base - 3, x, _TOP),
            _n(x - 6),
            _n(base - 12),
        )
    ring = _EMPTY
    if point.asks:
        ring = format_html('<circle class="asks" cx="{}" cy="{}" r="6"/>', _n(x), _n(y))
    # Its outline is not seen: it makes the dot easier to hit.
    return format_html(
        '{}<circle class="dot" cx="{}" cy="{}" r="2.5"><title>{}</title></circle>',
        ring,
        _n(x),
        _n(y),
        words,
    )


def _end_labels(
    places: Sequence[_Place], target: float | None, unit: str, up: _Scale, frame: Frame
) -> SafeString:
    """The last known value beside its dot, and the target's, kept apart from each other."""
    right = frame.right + 12
    known = [(point, x, y) for point, x, y in places if y is not None]
    label = _EMPTY
    value_y: float | None = None
    if known:
        point, x, y = known[-1]
        words = in_words(point.value, unit)
        if point is places[-1][0] and len(places) > 1:
            label, value_y = _text(right, y + 4, "start", words, "value-label"), y
        else:
            label = _text(x, max(y - 8, 9), "middle", words, "value-label")
    if target is None:
        return label
    target_y = up(target)
    if value_y is not None and abs(target_y - value_y) < _LINE:
        target_y = value_y + (_LINE if target_y >= value_y else -_LINE)
        if target_y < 4:  # no room above
            target_y = value_y + _LINE
    words = f"target {in_words(target, unit)}"
    return format_html("{}{}", label, _text(right, target_y + 4, "start", words, "target-label"))


def _period_labels(points: Sequence[Point], across: _Scale, frame: Frame) -> SafeString:
    """The first and the last period by name, and those between for which there is room."""
    y = frame.height - 6
    if not points:
        return _EMPTY
    if len(points) == 1:
        return _text(across(0), y, "middle", points[0].label)
    last = len(points) - 1
    step = math.ceil(last * _BETWEEN_NAMES / (frame.right - _LEFT))
    between = range(step, last - step // 2, step)
    return format_html(
        "{}{}{}",
        _text(_LEFT, y, "start", points[0].label),
        format_html_join(
            "", "{}", ((_text(across(at), y, "middle", points[at].label),) for at in between)
        ),
        _text(frame.right + 8, y, "end", points[-1].label),
    )


def _trend_in_words(points: Sequence[Point], target: float | None, unit: str) -> str:
    """What a screen reader says of the drawing; the table beneath holds every figure."""
    known = [point for point in points if point.value is not None]
    if not known:
        return "No period has a known value yet."
    first, last = known[0], known[-1]
    words = f"{last.label}: {in_words(last.value, unit)}."
    if first is not last:
        words = f"{first.label}: {in_words(first.value, unit)}. " + words
    if target is not None:
        words += f" Target {in_words(target, unit)}."
    for point in points:
        if point.happened:
            words += f" {point.label}: {point.happened}."
    asking = sum(point.asks for point in points)
    if asking:
        words += f" {asking} of {len(points)} periods ask for a look."
    unknown = len(points) - len(known)
    if unknown:
        words += f" Unknown in {unknown} of {len(points)} periods."
    return words


# --- Shapes ------------------------------------------------------------


def _svg(title: str, words: str, frame: Frame, parts: Sequence[SafeString]) -> SafeString:
    return format_html(
        '<svg class="{}" role="img" viewBox="0 0 {} {}"><title>{}</title><desc>{}</desc>{}</svg>',
        frame.name,
        _n(frame.width),
        _n(frame.height),
        title,
        words,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> SafeString:
    return format_html(
        '<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>', name, _n(x1), _n(y1), _n(x2), _n(y2)
    )


def _rect(name: str, x: float, y: float, width: float, height: float) -> SafeString:
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
        name,
        _n(x),
        _n(y),
        _n(width),
        _n(height),
    )


def _text(x: float, y: float, anchor: str, words: str, name: str = "") -> SafeString:
    classed = format_html(' class="{}"', name) if name else _EMPTY
    anchored = format_html(' text-anchor="{}"', anchor) if anchor != "start" else _EMPTY
    return format_html('<text{} x="{}" y="{}"{}>{}</text>', classed, _n(x), _n(y), anchored, words)


def _n(value: float) -> str:
    """A coordinate: one decimal is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
