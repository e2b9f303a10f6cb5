"""The JSON of a leaderboard is what docs/leaderboard.schema.json says, and the schema refuses what is not."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from synthetic_runs import write_runs
from written import write

from fer_bench.reports.leaderboard import build
from fer_bench.results.baseline import freeze

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "leaderboard.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def document(tmp_path):
    store = write_runs(tmp_path, datasets=1, methods=2, folds=2, n=60, failed=1)
    return json.loads(write("json", build(store.cells()[0]), ["abc: predictions.feather is missing"]))


def test_stored_files_keep_the_published_schemas(tmp_path):
    """By another implementation of JSON Schema than the one that checks them when they are read."""
    schemas = {
        file.name.partition(".")[0]: json.loads(file.read_text(encoding="utf-8")) for file in SCHEMAS.glob("*.json")
    }
    del schemas["claim"]  # people write claims: tests/test_verify.py
    assert schemas.keys() == {"cell", "result", "provenance", "baseline"}
    store = write_runs(tmp_path / "runs", datasets=1, methods=1, folds=2, n=30, failed=0)
    freeze(store.runs_dir, tmp_path / "base")
    write_runs(tmp_path / "runs", datasets=1, methods=2, folds=2, n=30, failed=1)
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        files = [file for file in tmp_path.rglob(f"{name}.json") if file.is_file()]
        assert len(files) == (1 if name == "baseline" else 4)
        for file in files:
            record = json.loads(file.read_text(encoding="utf-8"))
            jsonschema.validate(record, schema)
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**record, "schema": "2", "status": "weird"}, schema)


def test_a_leaderboard_keeps_its_schema(document):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert {row["cells"]["failed"] for row in document["rows"]} == {0, 1}


def test_the_schema_names_every_field(document):
    assert (
        {*document["rows"][0]}
        == {*SCHEMA["$defs"]["RowRecord"]["properties"]}
        == {*SCHEMA["$defs"]["RowRecord"]["required"]}
    )


@pytest.mark.parametrize(
    ("field", "value"), [("may_be_best", 0.5), ("ranks", [1]), ("scores", {"uar": 0.5}), ("n", None)]
)
def test_the_schema_refuses_what_is_wrong(document, field, value):
    document["rows"][0][field] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
