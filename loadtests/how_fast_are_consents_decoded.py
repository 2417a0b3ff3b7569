"""How fast are consents decoded? Test vectors and whole vendor lists, beside official libraries.

The 12,000 test vectors, short and odd, and 3,000 strings as platforms send them for a list of a
thousand vendors. Both sides decode the same to the last field in turns: ours with memories too
small for them, IAB Tech Lab's JavaScript libraries after a pass that warms them up. CPU seconds of
the best of three passes, medians of the rounds. Needs node and npm; the libraries are installed
into a throw-away folder. Run: `uv run python loadtests/THIS`; `--write` writes its row into
README.md.
"""

import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from readme_row import write_row

from matching.consent import gpp, tcf, us_sections
from matching.consent.bits import Unreadable
from matching.consent.gpp import TCF_EU, Gpp
from matching.consent.us_privacy import read_us_privacy
from matching.consent.us_sections import US_SECTIONS

CASES: Final = Path(__file__).parents[1] / "tests" / "cases" / "consent"
FILES: Final = ("tcf_vectors.txt.gz", "gpp_vectors.txt.gz")
LIBRARIES: Final = ("@iabtechlabtcf/core@1.5.21", "@iabgpp/cmpapi@3.2.0")
SCRIPTS: Final = Path(__file__).parent / "consent"
FULL_LISTS: Final = 3_000
ROUNDS: Final = 3
PASSES: Final = 3
KNOWN: Final = 2_000
"""So many strings fit into the memories, as those of most visitors of an hour do."""
PER_SECOND_MIN: Final = 50_000
TIMES_MIN: Final = 5.0


class Side(msgspec.Struct):
    """Strings a CPU second of one side, by round: the vectors', whole lists', and of both."""

    vectors: list[float] = []
    lists: list[float] = []
    both: list[float] = []

    def put(self, texts: list[str], vectors_s: float, lists_s: float) -> None:
        """Note one round over these strings."""
        count = len(texts) - FULL_LISTS
        self.vectors.append(count / vectors_s)
        self.lists.append(FULL_LISTS / lists_s)
        self.both.append(len(texts) / (vectors_s + lists_s))


def main() -> None:
    """Measure in turns, print, and end with 1 when a bar is missed."""
    ours, theirs, known = Side(), Side(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        vectors = [text for name in FILES for text in texts_of(name)]
        lists = node(folder, "full_list.mjs", str(FULL_LISTS)).decode().split()
        for _ in range(ROUNDS):
            theirs.put(vectors + lists, theirs_s(folder, vectors), theirs_s(folder, lists))
            ours.put(vectors + lists, best_s(vectors), best_s(lists))
            known.append(KNOWN / best_s(vectors[:KNOWN]))
    rate = statistics.median(ours.both)
    figure = (
        f"{rate:,.0f} a CPU second, {times(ours.both, theirs.both):.1f} x the official JavaScript "
        f"libraries ({times(ours.vectors, theirs.vectors):.1f} x for the test vectors, "
        f"{times(ours.lists, theirs.lists):.1f} x for lists of 1,000 vendors); strings met before "
        f"{statistics.median(known):,.0f}"
    )
    print(figure)
    if "--write" in sys.argv:
        write_row(__file__, figure, *(each.lstrip("@") for each in LIBRARIES))
    if rate < PER_SECOND_MIN or times(ours.both, theirs.both) < TIMES_MIN:
        raise SystemExit(f"a bar is missed: {PER_SECOND_MIN:,} a second, {TIMES_MIN} x")


def times(ours: list[float], theirs: list[float]) -> float:
    """Give the median of the rounds' ratios."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def texts_of(name: str) -> list[str]:
    """Read the strings of a file of vectors."""
    lines = gzip.decompress((CASES / name).read_bytes()).decode().splitlines()
    return [line.split(" ")[0] for line in lines]


def install(folder: Path) -> None:
    """Install the official libraries where nothing else is."""
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *LIBRARIES]
    subprocess.run(command, cwd=folder, check=True)


def node(folder: Path, script: str, *words: str) -> bytes:
    """Run one of the scripts beside the libraries and give what it prints."""
    command = ["node", str(SCRIPTS / script), *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def theirs_s(folder: Path, texts: list[str]) -> float:
    """Give the CPU seconds of their best pass."""
    given = folder / "texts"
    given.write_text("\n".join(texts) + "\n")
    found: dict[str, float] = msgspec.json.decode(node(folder, "decode.mjs", str(given)))
    return found["seconds"]


def best_s(texts: list[str]) -> float:
    """Give the CPU seconds of our best pass; more strings than memories hold are new to each."""
    took = []
    for _ in range(PASSES + 1):
        before = time.process_time()
        decode_all(texts)
        took.append(time.process_time() - before)
    return min(took[1:])


def decode_all(texts: list[str]) -> None:
    """Decode strings to their last field; none of them is unreadable."""
    for text in texts:
        if not text.startswith("DB"):
            found: object = tcf.decode_tcf(text)
        else:
            found = decode_gpp(text)
        if isinstance(found, Unreadable):
            raise SystemExit(f"{text} cannot be read: {found.why}")


def decode_gpp(text: str) -> object:
    """Decode a GPP string and all its sections."""
    found = gpp.decode_gpp(text)
    if isinstance(found, Gpp):
        for section, part in found.sections.items():
            if section == TCF_EU:
                tcf.decode_tcf(part)
            elif section in US_SECTIONS:
                us_sections.decode_us_section(section, part)
            else:
                read_us_privacy(part)
    return found


if __name__ == "__main__":
    main()
