"""A published site: what it holds and what not, that its addresses stay, and that a failure destroys nothing."""

from __future__ import annotations

import errno
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from messages import says
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import invoke

from fer_bench import atomic
from fer_bench.errors import FerBenchError
from fer_bench.reports.history import Change, PublishedRow, compare
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store

ATOM, SVG = "{http://www.w3.org/2005/Atom}", "{http://www.w3.org/2000/svg}"
WORKFLOW = (Path(__file__).parents[1] / "docs" / "publish.md").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Elements of a page, its links, and all of its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        self.text += data


def publish(runs: Path, site: Path, *options: str) -> str:
    result = invoke("publish", "--runs-dir", str(runs), "--output", str(site), *options)
    assert result.exit_code == 0
    return result.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A runs folder with two boards and hostile names, and its site."""
    folder = tmp_path_factory.mktemp("published")
    store = write_runs(folder / "runs", datasets=1, methods=2, folds=2, n=60)
    hostile = {"strategy": "<script>alert(1)</script>", "classes": ["</title>", "b"]}
    run_by = Provenance(command=("fer-bench", "run"), executor="dask[scheduler=tcp://login.lab.example:8786]")
    for fold in (0, 1):
        store.write(make_cell(fold, **hostile), make_result(ids=[f"{fold}{i}" for i in range(3)]), run_by)
    publish(folder / "runs", folder / "site", "--title", "Ours & <b>", "--url", "https://lab.example/fer")
    return folder / "runs", folder / "site"


def test_every_link_of_a_site_leads_to_a_file_of_it(made):
    _, site = made
    files = contents(site)
    record = json.loads(files["leaderboard.json"])
    rows = [row for row in record["rows"] if not row["baseline"]]
    assert len([name for name in files if re.fullmatch(r"rows/[0-9a-f]{16}\.html", name)]) == len(rows) == 3
    pages = [name for name in files if name.endswith(".html")]
    for name in pages:
        page = Page(files[name].decode("ascii"))
        assert page.elements.count("script") == 1
        assert "Ours & <b>" in page.text
        for link in page.links:
            target = urlsplit(urljoin(name, link))
            assert not target.netloc
            assert not target.path or unquote(target.path) in files, (name, link)
    singles = [json.loads(files[name]) for name in files if name.startswith("rows/") and name.endswith(".json")]
    assert sorted(singles, key=str) == sorted(rows, key=str)


def test_no_picture_and_no_address_of_a_machine_leaves(made):
    _, site = made
    for name, content in contents(site).items():
        assert not re.search(rb"<img|data:image|img-src|login\.lab|file:", content), name


def test_the_feed_is_atom(made):
    _, site = made
    feed = ElementTree.fromstring((site / "feed.xml").read_bytes())
    assert feed.tag == f"{ATOM}feed"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 1
    for part in (feed, *entries):
        for needed in ("id", "title", "updated"):
            assert len(part.findall(f"{ATOM}{needed}")) == 1, needed
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", part.findtext(f"{ATOM}id"))
        assert re.fullmatch(time, part.findtext(f"{ATOM}updated"))
    assert len({part.findtext(f"{ATOM}id") for part in (feed, *entries)}) == 2
    assert feed.find(f"{ATOM}author/{ATOM}name").text
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links == {"self": "https://lab.example/fer/feed.xml", "alternate": "https://lab.example/fer/index.html"}
    content = entries[0].find(f"{ATOM}content")
    assert content.get("type") == "html"
    listed = Page(content.text)
    assert set(listed.elements) == {"ul", "li", "a"}
    base = "https://lab.example/fer/"
    assert all(link.removeprefix(base) in contents(site) for link in listed.links)
    assert len(listed.links) == 3


def test_badges_say_score_interval_and_tier(made):
    _, site = made
    rows = [row for row in json.loads((site / "leaderboard.json").read_bytes())["rows"] if not row["baseline"]]
    expected = set()
    for row in rows:
        score, low, high = (
            f"{100 * number:.1f}"
            for number in (row["scores"]["uar"]["mean"], row["interval"]["low"], row["interval"]["high"])
        )
        expected.add(f"{score} % ({low} to {high})" + (f", tier {row['tier']}" if row["tier"] else ""))
    assert any("tier" in text for text in expected)
    badges = [ElementTree.parse(file).getroot() for file in (site / "badges").iterdir()]
    texts = [[text.text for text in badge.iter(f"{SVG}text")] for badge in badges]
    assert {first for first, _ in texts} == {"UAR"}
    assert {second for _, second in texts} == expected
    for badge in badges:
        assert sum(float(part.get("width")) for part in badge.findall(f"{SVG}rect")) == float(badge.get("width"))


def test_the_same_results_give_the_same_bytes_and_no_line(made):
    runs, site = made
    before = contents(site)
    assert says(publish(runs, site, "--title", "Ours & <b>", "--url", "https://lab.example/fer/"), "0 changed")
    assert contents(site) == before
    assert before["history.jsonl"].count(b"\n") == 1


def test_a_row_moves_between_versions_and_keeps_its_addresses(tmp_path):
    store, history, site = Store(tmp_path / "runs"), tmp_path / "boards.jsonl", tmp_path / "site"

    def make(code: str, predicted: tuple[int, ...], strategy: str = "probe") -> str:
        for fold in (0, 1):
            cell = make_cell(fold, code=code, strategy=strategy)
            store.write(cell, make_result((0, 0, 1, 1), predicted, ids=[f"{fold}{i}" for i in range(4)]), UNKNOWN)
        return cell.experiment.id[:16]

    first = make("a" * 64, (0, 1, 1, 1))
    gone = make("a" * 64, (0, 1, 1, 1), strategy="passing")
    publish(store.runs_dir, site, "--history", str(history))
    second = make("b" * 64, (0, 0, 1, 1))
    for folder in store.runs_dir.joinpath("cells").iterdir():
        if b"passing" in (folder / "cell.json").read_bytes():
            shutil.rmtree(folder)
    said = publish(store.runs_dir, site, "--history", str(history))
    assert says(said, "probe: ", "75.0 %", "100.0 %", "passing: ", "75.0 %", "2 changed")
    assert history.read_bytes() == (site / "history.jsonl").read_bytes()
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert [{row["id"] for row in line["rows"]} for line in lines] == [{first, gone}, {second}]
    old, new = (Page((site / "rows" / f"{name}.html").read_text()) for name in (first, second))
    assert f"{second}.html" in old.links
    assert "75.0 %" in new.text
    assert new.elements.count("circle") > 2, "the drawing of the history"
    assert (site / "rows" / f"{gone}.html").is_file()
    assert not (site / "rows" / f"{gone}.json").exists()
    badges = [ElementTree.parse(file).getroot() for file in (site / "badges").iterdir()]
    said = sorted([text.text for text in badge.iter(f"{SVG}text")][1] for badge in badges)
    assert len(said) == 2
    assert said[0].startswith("100.0 %")
    feed = ElementTree.fromstring((site / "feed.xml").read_bytes())
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 2
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 2
    assert entries[0].findtext(f"{ATOM}updated") >= entries[1].findtext(f"{ATOM}updated")
    assert f"rows/{second}.html" in entries[0].findtext(f"{ATOM}content")


def test_rows_of_one_name_are_followed_by_their_ids():
    def row(id: str, name: str, score: float = 0.5) -> PublishedRow:
        return PublishedRow(id=id * 16, name=name, board="b", method="m", metric="uar", score=score)

    before = [row("a", "x"), row("b", "x"), row("c", "y"), row("d", "z")]
    after = [row("b", "x", 0.6), row("e", "x"), row("f", "y"), row("d", "z")]
    assert compare(before, after) == [
        Change(before=before[1], after=after[0]),
        Change(before=before[0], after=after[1]),
        Change(before=before[2], after=after[2]),
    ]
    twice = [row("a", "x"), row("b", "x")]
    assert [(change.before, change.after) for change in compare([row("c", "x")], twice)] == [
        (None, twice[0]),
        (None, twice[1]),
        (row("c", "x"), None),
    ]


def test_a_failure_leaves_the_old_site(made, tmp_path, monkeypatch):
    runs, _ = made
    site = tmp_path / "site"
    publish(runs, site)
    before = contents(site)
    written = atomic.write_synced

    def fail(file: Path, data: bytes) -> None:
        if file.name == "feed.xml":
            raise OSError(errno.ENOSPC, "No space left on device")
        written(file, data)

    monkeypatch.setattr(atomic, "write_synced", fail)
    with pytest.raises(FerBenchError) as error:
        publish(runs, site, "--title", "other")
    assert says(str(error.value), str(site), "disk is full", "untouched")
    monkeypatch.undo()
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.startswith(".site"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FerBenchError, match="Permission denied"):
        publish(runs, site, "--title", "other")
    monkeypatch.undo()
    assert contents(site) == before
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


def test_a_site_whose_publisher_was_killed_comes_back(made, tmp_path):
    runs, _ = made
    site = tmp_path / "site"
    publish(runs, site)
    before = contents(site)
    process = subprocess.Popen(["true"])
    process.wait()
    mine = atomic.scratch(site).name.rpartition("-")[0]
    site.rename(tmp_path / f".old{mine}-{process.pid}")
    (tmp_path / f"{mine}-{process.pid}").mkdir()
    publish(runs, site)
    assert contents(site) == before
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_holds_something_else_is_refused(made, tmp_path):
    runs, _ = made
    site = tmp_path / "site"
    publish(runs, site)
    (site / "CNAME").write_text("lab.example")
    (site / "rows" / "mine.txt").write_text("mine")
    for folder, names in ((site, ("'CNAME'", "'rows/mine.txt'")), (runs, ("cells/",))):
        before = contents(folder)
        with pytest.raises(FerBenchError) as error:
            publish(runs, folder)
        assert says(str(error.value), "--output", str(folder), *names)
        assert contents(folder) == before
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (file, Path()):
        with pytest.raises(FerBenchError) as error:
            publish(runs, place)
        assert says(str(error.value), "--output", repr(str(place)))
    assert file.read_text() == "mine"
    with pytest.raises(FerBenchError, match=r"--url 'lab'.*https://"):
        publish(runs, tmp_path / "new", "--url", "lab")


GOOD = '{"published": "2026-11-27T08:00:00Z", "rows": [], "schema": 1, "version": "0.1.0"}\n'


def test_private_texts_of_cells_and_of_a_history_are_refused(tmp_path):
    store, history = Store(tmp_path / "runs"), tmp_path / "boards.jsonl"
    cell = store.write(make_cell(), make_result(), Provenance(command=("fer-bench", "--data-dir", "/home/anna/faces")))
    named = {
        "id": "0" * 16,
        "name": "manifest[root=/srv/ben/faces] / probe",
        "board": "",
        "method": "",
        "metric": "uar",
    }
    history.write_text(GOOD.replace("[]", json.dumps([named])))
    with pytest.raises(FerBenchError) as error:
        publish(store.runs_dir, tmp_path / "site", "--history", str(history))
    assert says(str(error.value), cell.id[:16], "/home/anna/faces", "2026-11-27T08:00:00Z", "/srv/ben/faces")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "{", ("Line 2", "JSON")),
        (GOOD.replace('"schema": 1', '"schema": 9'), ("Line 1", "schema")),
        (GOOD + GOOD.replace("2026", "2025"), ("Line 2", "2025-11-27T08:00:00Z", "2026-11-27T08:00:00Z")),
        (GOOD.replace("T08", " 08"), ("Line 1", "published")),
        (
            GOOD.replace("[]", '[{"id": "../../../../evil", "name": "", "board": "", "method": "", "metric": "uar"}]'),
            ("Line 1", "rows.0.id"),
        ),
    ],
)
def test_a_history_that_is_none_is_named_by_its_line(made, tmp_path, text, expected):
    history = tmp_path / "boards.jsonl"
    history.write_text(text)
    with pytest.raises(FerBenchError) as error:
        publish(made[0], tmp_path / "site", "--history", str(history))
    assert says(str(error.value), expected[0], str(history), *expected[1:])
    assert not (tmp_path / "site").exists()
    assert history.read_text() == text


def test_a_history_with_hostile_names_stays_text(made, tmp_path):
    history = tmp_path / "boards.jsonl"
    row = {"id": "0" * 16, "name": "<script>alert(1)</script>\x1b[2J", "board": "</style>", "method": "]]>&amp;"}
    history.write_text(GOOD.replace("[]", json.dumps([{**row, "metric": "uar"}])))
    publish(made[0], tmp_path / "site", "--history", str(history))
    page = Page((tmp_path / "site" / "rows" / f"{'0' * 16}.html").read_text())
    assert page.elements.count("script") == page.elements.count("style") == 1
    assert "]]>&amp;" in page.text
    feed = ElementTree.fromstring((tmp_path / "site" / "feed.xml").read_bytes())
    listed = [Page(entry.findtext(f"{ATOM}content")) for entry in feed.findall(f"{ATOM}entry")]
    assert {element for page in listed for element in page.elements} == {"ul", "li", "a"}


class Server(http.server.SimpleHTTPRequestHandler):
    """A web server of a folder, which may be out of order."""

    broken = False

    def do_GET(self):
        if Server.broken:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, format, *args):
        del format, args


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl")
def test_the_workflow_of_the_documentation_publishes_with_its_history(made, tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", WORKFLOW, re.DOTALL)
    workflow = yaml.safe_load(block)
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] <= 60
    assert job["permissions"] == {"contents": "read", "pages": "write", "id-token": "write"}
    runs = [step["run"] for step in job["steps"] if "run" in step]
    (fetch,) = (run for run in runs if "curl" in run)
    (command,) = (run for run in runs if run.startswith("fer-bench publish"))
    uploaded = next(step["with"]["path"] for step in job["steps"] if "upload-pages" in step.get("uses", ""))
    shutil.copytree(made[1], tmp_path / "web")
    (tmp_path / "none").mkdir()
    for folder, broken, code in (("none", False, 0), ("web", True, 1), ("web", False, 0)):
        Server.broken = broken
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=tmp_path / folder)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            known = {**os.environ, "SITE": f"http://127.0.0.1:{server.server_address[1]}", "no_proxy": "127.0.0.1"}
            done = subprocess.run(["bash", "-e", "-c", fetch], cwd=tmp_path, env=known, timeout=30, check=False)
            server.shutdown()
        assert done.returncode == code
        if not broken:
            assert (tmp_path / "boards.jsonl").exists() == (folder == "web")
    options = command.replace("$SITE", "https://lab.example/fer").replace('"', "").split()[1:]
    for name in ("--runs-dir", "--history", "--output"):
        place = options.index(name) + 1
        options[place] = str(made[0] if name == "--runs-dir" else tmp_path / options[place])
    assert says(invoke(*options).stdout, "0 changed")
    assert (tmp_path / uploaded / "history.jsonl").read_bytes() == (made[1] / "history.jsonl").read_bytes()
