"""A visit: one stage after the other, each under watch, and what exists kept as it goes."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.gpu import stages, tree, watch
from bn.lab.gpu.output import Output, unpack
from bn.lab.gpu.stages import Stage
from bn.lab.gpu.watch import Ended
from bn.lab.store import cache, files, provenance

RESERVE = 20.0  # seconds before the limit at which everything has ended
LEAST = 15.0  # seconds for a stage: less do not suffice for Python's start and a result
AGAIN = 45.0  # seconds that must be left for another try
MARGIN = 20.0  # seconds before its limit for a stage that ends by itself: Python starts, and a record is written
IMAGES = "tiny-imagenet-200"
ARCHIVES = "{archives}"  # in a command, the archives of images that were carried along
NO_IMAGES = "no images were carried along"


@dataclass(frozen=True)
class Folders:
    """The checkout, a temporary folder, the output, the runs, and what was carried along."""

    root: Path
    scratch: Path
    out: Path
    runs: Path
    carried: Path


@dataclass
class Row:
    """A line of the summary."""

    stage: str
    state: str = "not begun"
    seconds: float = 0.0
    finding: str = ""


class Interrupted(BaseException):
    """Someone wants this to end, by a signal."""


def run(chosen: list[Stage], folders: Folders, limit: float, environment: Mapping[str, str]) -> int:
    """Run stages until RESERVE seconds before `limit`, a time of `time.monotonic`; 0 where all of them are done.

    1 where one failed or was stopped, and 128 and the number of the signal that ended it. Raises ArchiveError.
    """
    for archive in sorted((*folders.carried.glob("runs-*.tar"), *folders.out.glob("runs-*.tar"))):
        print(f"{unpack(archive, folders.runs)} files of earlier runs are taken from {archive}", flush=True)
    visit, status = Visit(chosen, folders, limit - RESERVE, environment), 0
    visit.show_plan()
    try:
        with _signals():
            visit.stages()
    except Interrupted as interrupted:
        print(f"Ended by {signal.Signals(interrupted.args[0]).name}.", flush=True)
        status = 128 + interrupted.args[0]
    finally:
        visit.finish()
    return status or int(any(row.state in ("failed", "stopped") for row in visit.rows))


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGINT raise Interrupted, once."""

    def interrupt(number: int, frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # what is left to do takes a second
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Visit:
    """The stages of a visit and what is known of them."""

    def __init__(self, chosen: list[Stage], folders: Folders, end: float, environment: Mapping[str, str]) -> None:
        self.chosen, self.folders, self.end, self.environment = chosen, folders, end, environment
        self.rows = [Row(stage.name) for stage in chosen]
        self.findings: dict[str, dict] = {}
        self.told: dict[str, str] = {}  # variables of the environment, for the stages that come
        self.source = provenance.source()
        folders.runs.mkdir(parents=True, exist_ok=True)
        self.tree = tree.copy(folders.root, folders.scratch / "tree")
        self.out = Output(folders.out, folders.runs)
        card = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        self.about = [card, torch.__version__, sys.version.split()[0], dict(environment)]

    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.monotonic()

    def show_plan(self) -> None:
        """The stages and their limits, before the first begins."""
        commit, dirty = self.source["commit"], self.source["dirty"]
        state = {True: "changed", False: "unchanged", None: "changed or not is unknown"}[dirty]
        self._say(f"{self.left():.0f} s for {len(self.chosen)} stages; commit {commit}, {state}")
        for stage, limit in zip(self.chosen, self._limits(self.chosen), strict=True):
            said = self._reason(stage)[:80] or f"at most {limit:4.0f} s" + ("" if limit else ", what others leave")
            self._say(f"  {stage.name:12} {said}")

    def stages(self) -> None:
        """All of them, each with its share of the time that is left."""
        for k, (stage, row) in enumerate(zip(self.chosen, self.rows, strict=True)):
            limit = self._limits(self.chosen[k:])[0]
            if reason := self._reason(stage):
                row.state, row.finding = "skipped", reason
                if (found := self._kept(stage)) is not None:
                    self._learn(stage, found)
            elif limit < LEAST:
                row.state, row.finding = "skipped", f"{max(limit, 0):.0f} s are left for it"
            else:
                self._stage(stage, row, limit)
            self._say(f"== {row.stage}: {row.state}, {row.seconds:.0f} s. {row.finding}")
            self.collect()

    def _limits(self, waiting: list[Stage]) -> list[float]:
        """Seconds for each of the stages that wait, 0 for those that are not run anyway."""
        run = [stage for stage in waiting if not self._reason(stage)]
        limit_of = dict(zip((stage.name for stage in run), stages.limits(run, self.left()), strict=True))
        return [limit_of.get(stage.name, 0.0) for stage in waiting]

    def _reason(self, stage: Stage) -> str:
        """Why a stage is not run, however much time there is."""
        if (found := self._kept(stage)) is not None:
            return f"done before: {found['finding']}"
        if not self._archives() and ARCHIVES in stage.command:
            return NO_IMAGES
        if not self._archives() and stage.images and not (paths.data() / IMAGES).is_dir():
            return NO_IMAGES
        return ""

    def _stage(self, stage: Stage, row: Row, limit: float) -> None:
        """Run a stage; one that may go on after a failure gets what is left of its limit."""
        end, before = time.monotonic() + limit, self._file(stage)
        self._say(f"== {stage.name}: at most {limit:.0f} s")
        row.state = "interrupted"  # unless it ends by itself
        for _ in range(stage.tries):
            ended = self._once(stage, end - time.monotonic())
            row.seconds += ended.seconds
            if ended.state != "failed" or end - time.monotonic() < AGAIN:
                break
        found = self._found(stage, ended)
        row.state, row.finding = ended.state, "; ".join(filter(None, (ended.why, found["finding"])))
        if ended.state == "done" or not stage.variable:
            self._learn(stage, found)
        if stage.once and (ended.state == "done" or found.get("constants")):  # which later results stand on
            for path in {before, self._file(stage)}:  # of the code before a patch and of that after it
                files.write_json(path, found)

    def _once(self, stage: Stage, limit: float) -> Ended:
        seconds, command = max(limit - MARGIN, limit / 2), [sys.executable]
        given = {
            "seconds": f"{seconds:.0f}",
            "minutes": f"{seconds / 60:.3f}",
            "name": stage.name,
            "finding": self._finding(stage),
            "runs": self.folders.runs,
            "data": self._data(),
        }
        for argument in stage.command:
            command += map(str, self._archives()) if argument == ARCHIVES else [argument.format_map(given)]
        return watch.watched(command, limit, self.out.log, self.tree, self._environment(), self.collect)

    def _environment(self) -> dict[str, str]:
        """Where runs, images and the code come from, and which code it is."""
        commit, dirty = self.source["commit"], self.source["dirty"]
        if tree.patch(self.folders.root, self.tree):
            dirty = True
        places = {"BN_RUNS": self.folders.runs, "BN_DATA": self._data(), "PYTHONPATH": self.tree}
        told = {name: str(place) for name, place in places.items()} | self.environment
        return told | self.told | {"BN_COMMIT": commit, "BN_DIRTY": {True: "1", False: "0", None: ""}[dirty]}

    def _archives(self) -> list[Path]:
        return sorted(self.folders.carried.glob("*.tar.gz"))

    def _data(self) -> Path:
        return self.folders.scratch / "data" if self._archives() else paths.data()

    def _finding(self, stage: Stage) -> Path:
        return self.folders.scratch / f"{stage.name}.json"

    def _found(self, stage: Stage, ended: Ended) -> dict:
        """What a stage wrote of its finding, or else the last that it said."""
        with suppress(OSError, ValueError):
            return json.loads(self._finding(stage).read_text("utf-8"))
        return {"finding": ended.last}

    def _file(self, stage: Stage) -> Path:
        """Where a finding is kept; for other code, another card or another command it is another file."""
        key = files.digest([stage.command, tree.digest(self.tree), *self.about])
        return self.folders.runs / "gpu" / f"{stage.name}-{key}.json"

    def _kept(self, stage: Stage) -> dict | None:
        return cache.present(self._file(stage), files.read_json) if stage.once else None

    def _learn(self, stage: Stage, found: dict) -> None:
        """Tell it to later stages: by a variable, or by tuned constants in the copy that they run in."""
        self.findings[stage.name] = found
        if stage.variable:
            self.told[stage.variable] = found["finding"]
        if not found.get("constants"):
            return
        launch = self.tree / tree.LAUNCH
        try:
            launch.write_text(tree.edited(launch.read_text("utf-8"), found["constants"]), "utf-8")
        except ValueError as error:
            self._say(f"The constants stay as they are: {error}")
        if patch := tree.patch(self.folders.root, self.tree):
            self.out.write("launch.patch", patch)
            self._say(patch)

    def collect(self) -> None:
        """Bring the output up to date."""
        self.out.collect()
        about = {"source": self.source, "about": self.about, "seconds_left": round(self.left())}
        self.out.summarize(about | {"stages": [asdict(row) for row in self.rows], "findings": self.findings})

    def finish(self) -> None:
        """The last state of the output, and a table of the stages."""
        self.collect()
        self._say(f"\n{'stage':12} {'state':9} {'s':>4}  finding")
        for row in self.rows:
            self._say(f"{row.stage:12} {row.state:9} {row.seconds:4.0f}  {row.finding[:300]}")
        if self.out.left_out:
            self._say(f"No room in the archive for {len(self.out.left_out)} files, such as {self.out.left_out[0]}")
        self._say(f"It is in {self.out.folder}; to go on from there, put its runs-*.tar into {self.folders.carried}")
        self.out.log.file.close()

    def _say(self, line: str) -> None:
        print(line, flush=True)
        print(line, file=self.out.log, flush=True)
