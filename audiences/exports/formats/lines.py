"""Text that TOML alone describes: `ID <separator> segment,segment`, or one id a line.

Rows sorted by id go in, lines within the partner's limits come out. How a segment is written when
it is entered and when it is left, and what no id may hold, is the seat's word.
"""

from collections.abc import Iterable, Iterator, Sequence

from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_formats import Lines

NEWLINE = "\n"
HOLE = "{segment}"


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write each row as one line, or as several where the partner's limits want it."""
    by_audience = seat.membership.grouping == "audience"
    for row in rows:
        said = _ids_alone(row, seat, out) if by_audience else _with_segments(row, seat, out)
        first = 1
        for line, adds, removes, group in said:
            out.put(line, adds=adds, removes=removes, ids=first, group=group)
            first = 0
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read files back, the lines of one id joined."""
    options = _options(seat)
    pieces = []
    for number, data in enumerate(files):
        group = groups[number] if groups else ANY
        text = data.decode(options.charset)
        pieces += [_parse(line, group, seat) for line in text.split(NEWLINE)[:-1]]
    return joined(pieces)


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    options = _options(seat)
    held = options.separator in text
    return _refused(text, options) or ("it holds the seat's separator" if held else "")


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    options = _options(seat)
    if reason := _refused(segment, options):
        return reason
    if options.segments == "digits" and not (segment.isascii() and segment.isdecimal()):
        return "it must be a number"
    if seat.membership.grouping == "audience":
        return ""
    if options.separator in segment or options.segment_separator in segment:
        return "it holds one of the seat's separators"
    for action in ("add", "remove") if options.remove else ("add",):
        if _unsaid(_said(segment, action, options), options) != (segment, action):
            return f"what says it to {action} it would be read otherwise"
    return ""


def _options(seat: Seat) -> Lines:
    if not isinstance(seat.format, Lines):
        raise UnwritableRow(f"seat {seat.key}: its format is not lines")
    return seat.format


def _refused(text: str, options: Lines) -> str:
    if not text:
        return "it is empty"
    if not text.isprintable() or text != text.strip():
        return "it holds a control character, or a space at an end"
    try:
        text.encode(options.charset)
    except UnicodeEncodeError:
        return f"it holds a character outside {options.charset}"
    held = [each for each in options.forbidden if each in text]
    return f"it holds {', '.join(map(repr, held))}" if held else ""


def _ids_alone(row: IdRow, seat: Seat, out: Parts) -> Iterator[tuple[bytes, int, int, Group]]:
    line = (row.id + NEWLINE).encode(_options(seat).charset)
    for segment, _ in row.adds:
        yield line, 1, 0, out.group(segment, "add", row.id_space)
    for segment in row.removes:
        match seat.membership.removal:
            case Removal.FILE:
                yield line, 0, 1, out.group(segment, "remove", row.id_space)
            case Removal.REPLACE:
                out.begin(out.group(segment, "add", row.id_space))


def _with_segments(row: IdRow, seat: Seat, out: Parts) -> Iterator[tuple[bytes, int, int, Group]]:
    options, removal = _options(seat), seat.membership.removal
    adds = [_said(segment, "add", options) for segment, _ in row.adds]
    removes: list[str] = []
    if removal in {Removal.PREFIX, Removal.FILE}:
        removes = [_said(segment, "remove", options) for segment in row.removes]
    batches = [(adds, removes)] if removal is Removal.PREFIX else [(adds, []), ([], removes)]
    lines = 0
    for added, removed in batches:
        group = out.group("", "remove" if removed else "add", row.id_space)
        start = 0
        for line, count in _lines(row.id, added + removed, seat):
            in_line = min(len(added), start + count) - min(len(added), start)
            yield line, in_line, count - in_line, group
            start, lines = start + count, lines + 1
    if options.lines_per_id_max and lines > options.lines_per_id_max:
        raise UnwritableRow(
            f"seat {seat.key}: an id needs {lines} lines, more than `format.lines_per_id_max` "
            f"({options.lines_per_id_max}); use fewer or shorter segments"
        )


def _lines(text: str, items: list[str], seat: Seat) -> Iterator[tuple[bytes, int]]:
    """Give lines as long as the limits allow, each with how many segments it holds."""
    options = _options(seat)
    start = (text + options.separator).encode(options.charset)
    between = options.segment_separator.encode(options.charset)
    most = options.segments_per_line_max or len(items)
    held: list[bytes] = []
    size = len(start)
    for item in items:
        data = item.encode(options.charset)
        longer = size + len(between) * bool(held) + len(data)
        full = options.line_bytes_max and longer + len(NEWLINE) > options.line_bytes_max
        if held and (full or len(held) >= most):
            yield start + between.join(held) + NEWLINE.encode(), len(held)
            held, longer = [], len(start) + len(data)
        if options.line_bytes_max and longer + len(NEWLINE) > options.line_bytes_max:
            raise UnwritableRow(
                f"seat {seat.key}: an id with one segment is longer than `format.line_bytes_max` "
                f"({options.line_bytes_max}) allows; raise it"
            )
        held.append(data)
        size = longer
    if held:
        yield start + between.join(held) + NEWLINE.encode(), len(held)


def _said(segment: str, action: str, options: Lines) -> str:
    return (options.remove if action == "remove" and options.remove else options.add).replace(
        HOLE, segment
    )


def _unsaid(item: str, options: Lines) -> tuple[str, str]:
    """Give segment and action of what stands in a line; the longer wording is tried first."""
    wordings = [("add", options.add), ("remove", options.remove)]
    for action, wording in sorted(wordings, key=lambda each: -len(each[1])):
        before, hole, behind = wording.partition(HOLE)
        if hole and item.startswith(before) and item.endswith(behind):
            return item[len(before) : len(item) - len(behind)], action
    raise UnwritableRow(f"{item!r} is no segment of a line")


def _parse(line: str, group: Group, seat: Seat) -> IdRow:
    options = _options(seat)
    id_space = group.id_space or seat.id_spaces[0]
    if seat.membership.grouping == "audience":
        said = [(group.segment, group.action or "add")]
        name = line
    else:
        name, _, rest = line.partition(options.separator)
        said = [_unsaid(item, options) for item in rest.split(options.segment_separator)]
    if group.action:
        said = [(segment, group.action) for segment, _ in said]
    return IdRow(
        id=name,
        id_space=id_space,
        adds=[(segment, 0) for segment, action in said if action == "add"],
        removes=[segment for segment, action in said if action == "remove"],
    )
