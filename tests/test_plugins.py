"""Every way in which a plugin breaks becomes one row, and the others keep working."""

from __future__ import annotations

import json
import sys

import pytest
from messages import says
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.containment import _SET_BY_JAX
from fer_bench.errors import FerBenchError
from fer_bench.plugins import CORE, load_plugins
from fer_bench.registry import Registry

HEAD = """
    from fer_bench import hookimpl
    from fer_bench.specs import BackboneSpec, StrategySpec
"""
GOOD = (
    HEAD
    + """
    @hookimpl
    def fer_bench_strategies():
        return [StrategySpec(name="good", summary="works", plan="good:plan")]
"""
)
BROKEN = {
    "import-error": ("import there_is_no_such_module", "there_is_no_such_module"),
    "system-exit": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "misspelt-hook": (
        HEAD + "    @hookimpl\n    def fer_bench_backbone(): return []\n",
        "'fer_bench_backbone' is not a hook of fer-bench. Did you mean 'fer_bench_backbones'",
    ),
    "wrong-argument": (
        HEAD + "    @hookimpl\n    def fer_bench_run_end(okay): pass\n",
        "okay",
    ),
    "raising-hook": (
        HEAD + "    @hookimpl\n    def fer_bench_backbones(): raise RuntimeError('no licence')\n",
        "RuntimeError: no licence",
    ),
    "duplicate-item": (
        HEAD
        + "    @hookimpl\n    def fer_bench_strategies():\n"
        + "        return [StrategySpec(name='twin', summary='', plan='a:b')] * 2\n",
        "two items named 'twin'",
    ),
    "bad-item-name": (
        HEAD
        + "    @hookimpl\n    def fer_bench_strategies():\n"
        + "        return [StrategySpec(name='Bad/Name', summary='', plan='a:b')]\n",
        "'Bad/Name'; a name is lower-case",
    ),
    "undecorated-function": (
        HEAD + "    def fer_bench_backbones(): return []\n",
        "'fer_bench_backbones' is not decorated with @fer_bench.hookimpl",
    ),
    "wrong-return-type": (
        HEAD + "    @hookimpl\n    def fer_bench_backbones(): return [{'name': 'net'}]\n",
        "item of type dict, expected BackboneSpec",
    ),
    "returns-no-list": (
        HEAD + "    @hookimpl\n    def fer_bench_backbones(): return None\n",
        "returned NoneType, expected an iterable of BackboneSpec",
    ),
    "returns-generator-that-raises": (
        HEAD + "    @hookimpl\n    def fer_bench_backbones():\n        yield 1 / 0\n",
        "ZeroDivisionError",
    ),
    "stage-with-a-path": (
        HEAD
        + "    @hookimpl\n    def fer_bench_backbones():\n"
        + "        return [BackboneSpec(name='net', summary='', build='a:b', stages=('../up',), feature_size=1)]\n",
        "stages that are not Python identifiers: ['../up']",
    ),
    "later-interface": (
        "FER_BENCH_INTERFACE = 99\nfrom fer_bench.specs import NotYetThere\n",
        "needs version 99 of the plugin interface; this fer-bench has 1: upgrade fer-bench",
    ),
    "earlier-interface": (
        "FER_BENCH_INTERFACE: int = 0\n",
        "needs version 0 of the plugin interface; this fer-bench has 1: upgrade the plugin",
    ),
    "interface-in-words": (
        "FER_BENCH_INTERFACE = 'one'\n",
        "FER_BENCH_INTERFACE in 'a_broken' is not a whole number such as 1",
    ),
    "no-hooks": ("x = 1", "implements no hook"),
    # As the panics of native code do, which are no Exceptions.
    "panic": ("class Panic(BaseException): pass\nraise Panic('index out of bounds')\n", "Panic: index out of bounds"),
    **{
        f"default-{kind}": (
            HEAD
            + "    from typing import Any\n    from pydantic import ConfigDict\n"
            + "    from fer_bench.specs import Params\n"
            + "    class Own(Params):\n        model_config = ConfigDict(arbitrary_types_allowed=True)\n"
            + f"        mode: Any{default}\n"
            + "    @hookimpl\n    def fer_bench_strategies():\n"
            + "        return [StrategySpec(name='own', summary='', plan='a:b', params=Own)]\n",
            f"'own': parameter 'mode' has {said}",
        )
        for kind, default, said in [
            ("object", " = object()", "the default <object"),
            ("nan", " = float('nan')", "the default nan"),
            ("numpy", " = __import__('numpy').float32(1)", "the default np.float32(1.0)"),
            ("bytes", " = b'\\xff'", "the default b'\\xff'"),
            ("missing", "", "no default"),
        ]
    },
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_one_row_and_the_others_work(kind, write_plugin):
    code, message = BROKEN[kind]
    write_plugin("a-broken", code)
    write_plugin("good", GOOD)
    rows = {plugin.name: plugin for plugin in load_plugins()}
    assert rows["a-broken"].status == "failed"
    assert message in rows["a-broken"].error
    assert "\n" not in rows["a-broken"].error
    assert rows["good"].status == "ok"
    assert Registry.load().strategy("good").spec.name == "good"


def test_a_duplicate_plugin_is_one_row_and_the_first_works(write_plugin):
    write_plugin("good", GOOD, distribution="a-first")
    write_plugin("good", GOOD, distribution="b-second")
    _, first, second = load_plugins()
    assert (first.distribution, first.status) == ("a-first", "ok")
    assert (second.distribution, second.status) == ("b-second", "failed")
    assert says(second.error, "'good'", "'a-first'")
    assert Registry.load().strategy("good").plugin.distribution == "a-first"


def test_all_broken_kinds_at_once_leave_no_hook_behind(write_plugin):
    for kind, (code, _) in BROKEN.items():
        write_plugin(kind, code)
    write_plugin("good", GOOD)
    plugins = load_plugins()
    assert [plugin.name for plugin in plugins if plugin.status == "ok"] == [CORE, "good"]
    assert [name for name, _ in plugins.manager.list_name_plugin()] == [CORE, "good"]
    assert plugins.notify("fer_bench_run_end", ok=1, failed=0, runs_dir=None) == []


def test_plugins_list_shows_rows_and_exits_1_if_one_failed(write_plugin):
    write_plugin("good", GOOD)
    result = CliRunner().invoke(app, ["plugins", "list", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)[1:] == [
        {
            "name": "good",
            "distribution": "good",
            "version": "1.0",
            "hooks": ["fer_bench_strategies"],
            "items": [{"kind": "strategy", "name": "good"}],
            "status": "ok",
            "error": "",
            "interface": 1,
            "notes": [],
        }
    ]
    write_plugin("bad", "1 / 0")
    result = CliRunner().invoke(app, ["plugins", "list", "--json"])
    assert result.exit_code == 1
    assert [row["status"] for row in json.loads(result.stdout)] == ["ok", "failed", "ok"]
    table = CliRunner().invoke(app, ["plugins", "list"])
    assert table.exit_code == 1
    assert "ZeroDivisionError" in table.stdout


def test_the_environment_selects_plugins(write_plugin, monkeypatch):
    write_plugin("good", GOOD)
    write_plugin("bad", "1 / 0")
    monkeypatch.setenv("FER_BENCH_PLUGINS", " good ")
    assert {plugin.name: plugin.status for plugin in load_plugins()} == {CORE: "ok", "bad": "off", "good": "ok"}
    assert "bad" not in sys.modules
    monkeypatch.setenv("FER_BENCH_PLUGINS", "godo")
    with pytest.raises(FerBenchError, match=r"'godo'.*'good'"):
        load_plugins()
    monkeypatch.setenv("FER_BENCH_PLUGINS", "")
    assert [plugin.name for plugin in load_plugins() if plugin.status != "off"] == [CORE]


def test_an_event_hook_that_raises_is_told_and_the_others_are_called(write_plugin, monkeypatch):
    write_plugin(
        "listener", HEAD + "    seen = []\n    @hookimpl\n    def fer_bench_cell_done(cell): seen.append(cell['id'])\n"
    )
    write_plugin("raiser", HEAD + "    @hookimpl\n    def fer_bench_cell_done(): raise ValueError('disk on fire')\n")
    plugins = load_plugins()
    (error,) = plugins.notify("fer_bench_cell_done", cell={"id": "abc"})
    assert says(error, "'raiser'", "fer_bench_cell_done", "ValueError: disk on fire")
    assert sys.modules["listener"].seen == ["abc"]


KEEPS_STDOUT = (
    HEAD
    + """
    import logging, sys
    logging.getLogger("keeper").addHandler(logging.StreamHandler(sys.stdout))

    def tell(text, file=sys.stdout):
        print(text, file=file)

    @hookimpl
    def fer_bench_cell_done(cell):
        print("a cell")
        tell("kept")
        logging.getLogger("keeper").warning("logged")
        sys.stdout.write("written")
"""
)


def test_stdout_that_a_plugin_kept_from_its_import_works_later_and_stays_clean(write_plugin, capfd):
    write_plugin("keeper", KEEPS_STDOUT)
    plugins = load_plugins()
    for _ in range(2):
        (note,) = plugins.notify("fer_bench_cell_done", cell={"id": "abc"})
        assert says(note, "stdout", "a cell", "kept", "logged", "written")
        assert "'keeper'" in note
    sys.modules["keeper"].tell("later")
    out, err = capfd.readouterr()
    assert out == ""
    assert "Logging error" not in err
    assert err.strip() == "later"


def test_a_panic_in_a_hook_is_told_and_control_c_is_not_held(write_plugin):
    write_plugin(
        "panics",
        HEAD
        + "    class Panic(BaseException): pass\n"
        + "    @hookimpl\n    def fer_bench_cell_done(cell): raise cell['error']\n",
    )
    plugins = load_plugins()
    (message,) = plugins.notify("fer_bench_cell_done", cell={"error": sys.modules["panics"].Panic("beyond")})
    assert "Panic: beyond" in message
    with pytest.raises(KeyboardInterrupt):
        plugins.notify("fer_bench_cell_done", cell={"error": KeyboardInterrupt()})


def test_nobody_displaces_what_fer_bench_brings(write_plugin):
    ours = GOOD.replace('name="good"', 'name="linear-probe"')
    write_plugin("strategies", ours, distribution="fer-bench-strategies", module="ours")
    write_plugin("strategies", GOOD, distribution="a-first", module="theirs")
    write_plugin("others", ours.replace("works", "another"), distribution="a-second", module="others")
    registry = Registry.load()
    assert {plugin.distribution: plugin.status for plugin in registry.plugins} == {
        CORE: "ok",
        "fer-bench-strategies": "ok",
        "a-first": "failed",
        "a-second": "ok",
    }
    assert registry.strategy("linear-probe").plugin.distribution == "fer-bench-strategies"
    assert registry.strategy("a-second/linear-probe").spec.summary == "another"
    assert [name for name, _, _ in registry.specs("strategy")] == ["a-second/linear-probe", "linear-probe"]


def test_an_entry_point_named_like_a_path_is_one_row(write_plugin):
    write_plugin("../evil", GOOD, module="evil", distribution="evil")
    _, row = load_plugins()
    assert row.status == "failed"
    assert says(row.error, "entry point", "'../evil'")
    assert "evil" not in sys.modules


CARELESS = {
    "prints": ("print('hello'); import os; os.write(1, b'there')\n", "prints on stdout: "),
    "child-prints": ("import subprocess; subprocess.run(['echo', 'from a child'])\n", "prints on stdout: from a child"),
    "warns": (
        "import warnings; warnings.simplefilter('always'); warnings.warn('old', UserWarning)\n",
        "warns on import: UserWarning: old",
    ),
    "environment": (
        "import os; os.environ['XLA_FLAGS'] = 'x'; os.environ['NEW_ONE'] = '1'\n",
        "changes environment variables on import, set back: NEW_ONE, XLA_FLAGS",
    ),
    "config": (
        "import jax; jax.config.update('jax_enable_x64', True)\n",
        "sets jax_enable_x64 to True; set back to False",
    ),
    "slow": ("import time; time.sleep(0.06)\n", "takes 0."),
}


@pytest.mark.parametrize("kind", CARELESS)
def test_a_careless_plugin_works_and_what_it_did_is_undone_and_named(kind, write_plugin, monkeypatch):
    import os
    import warnings

    code, message = CARELESS[kind]
    monkeypatch.setattr("fer_bench.containment.SLOW_S", 0.05 if kind == "slow" else 60)
    write_plugin("careless", "    " + code + GOOD)
    environment, filters = dict(os.environ), list(warnings.filters)
    result = CliRunner().invoke(app, ["plugins", "list", "--json"])
    assert result.exit_code == 0
    _, row = json.loads(result.stdout)
    assert row["status"] == "ok"
    assert any(note.startswith(message) for note in row["notes"]), row["notes"]
    set_by_jax = tuple(_SET_BY_JAX)  # where this test is the first in its process to import it
    assert {k: v for k, v in os.environ.items() if not k.startswith(set_by_jax)} == {
        k: v for k, v in environment.items() if not k.startswith(set_by_jax)
    }
    assert warnings.filters == filters
    assert row["items"] == [{"kind": "strategy", "name": "good"}]


def test_threads_that_go_on_are_named(write_plugin):
    code = """
        import threading
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="miner", daemon=True).start()
    """
    write_plugin("threads", code + GOOD.replace("\n    ", "\n        "))
    _, row = load_plugins()
    try:
        (note,) = row.notes
        assert says(note, "threads", "miner")
    finally:
        sys.modules["threads"].stop.set()


def test_stdout_is_json_whatever_plugins_print_and_jax_begins_as_it_was(write_plugin, site):
    """In a process of its own: there the plugin is the first to import jax, and fd 1 is a pipe."""
    import os
    import subprocess

    write_plugin("careless", "    import os, jax\n    os.write(1, b'[')\n    print('{')\n" + GOOD)
    write_plugin("x64", "    import jax\n    jax.config.update('jax_enable_x64', True)\n" + GOOD.replace("good", "x64"))
    code = (
        "import sys, importlib.metadata as m; real = m.distributions; site = sys.argv.pop(1);"
        "m.distributions = lambda: real(path=[site]); sys.path.insert(0, site);"
        "from fer_bench.cli import main; sys.argv[1:] = ['plugins', 'list', '--json'];"
        "import atexit; atexit.register(lambda: sys.stderr.write(str(sys.modules['jax'].config.jax_enable_x64)));"
        "main()"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_ENABLE_X64": "0"},
    )
    assert out.returncode == 0, out.stderr
    _, careless, x64 = json.loads(out.stdout)
    assert [note for note in careless["notes"] if "prints" in note] == ["prints on stdout: [{"]
    (note,) = (note for note in x64["notes"] if "jax" in note)
    assert says(note, "jax_enable_x64", "True", "False")
    assert out.stderr.endswith("False")
