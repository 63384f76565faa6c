"""A TSV of 100,000 rows with pictures that exist becomes a data set; nothing is decoded.

Reading the table, checking that every path is a readable file within the root, that no id stands twice, and encoding the labels. The
pictures are empty files, so that decoding any would be an error. Plain `csv.DictReader` reads the same file in the same process, the
two by turns. At most 2 s and 300 MB of memory, Python and pandas included, are wanted; since machines differ and are busy, what decides is
the ratio of the processor's times to that reader, which takes 0.15 s where a data set took 0.6 s. The last line is that ratio.
"""

from __future__ import annotations

import csv
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas  # noqa: F401 - so that its memory and its import are counted before

from gtimm.core.tables import read_table_file

ROWS, FOLDERS, CLASSES, USERS, REPEATS = 100_000, 50, 8, 5_000, 5
MOST_SECONDS, MOST_MEGABYTES, MOST_TIMES = 2.0, 300.0, 10.0


def corpus(folder: Path, rows: int = ROWS, folders: int = FOLDERS) -> Path:
    lines = ["id\timage\ttext\tlabel\tuser"]
    for place in range(folders):
        (folder / "pictures" / f"{place}").mkdir(parents=True)
    for row in range(rows):
        picture = f"pictures/{row % folders}/{row}.jpg"
        (folder / picture).touch()
        text = "" if row % 10 == 0 else f"what somebody wrote on the day of the flood, number {row}"
        lines.append(f"{900_000_000_000_000_000 + row}\t{picture}\t{text}\tclass {row % CLASSES}\tuser {row % USERS}")
    table = folder / "rows.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        table = corpus(Path(folder))
        before = _megabytes()
        times = []
        for _ in range(REPEATS):
            began = time.process_time()
            with table.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            if len(rows) != ROWS:
                raise SystemExit("The reader beside ours lost rows.")
            del rows
            middle, wall = time.process_time(), time.perf_counter()
            data = read_table_file(table, {"image": "image", "text": "text"}, "label", id="id")
            times.append((middle - began, time.process_time() - middle, time.perf_counter() - wall))
        if len(data) != ROWS or not data.present("image").all() or data.present("text").sum() != ROWS * 9 // 10:
            raise SystemExit("The data set is not what the table says.")
    plain, ours, seconds = (statistics.median(way) for way in zip(*times, strict=True))
    print(f"csv.DictReader {plain:.2f} s, data set {ours:.2f} s of the processor (medians of {REPEATS})")
    print(f"a data set in {seconds:.2f} s (at most {MOST_SECONDS:g} s wanted)")
    print(f"largest memory {_megabytes():.0f} MB, {before:.0f} MB of it before reading (at most {MOST_MEGABYTES:g} MB allowed)")
    print(f"a checked data set takes {ours / plain:.1f} times as long as csv.DictReader (at most {MOST_TIMES:g} allowed)")
    return 0 if ours / plain <= MOST_TIMES and _megabytes() <= MOST_MEGABYTES else 1


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
