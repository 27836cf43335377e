import pyarrow as pa

from pipeline.store.provenance import MADE_BY
from pipeline.store.schemas import SCHEMAS, TIME


def test_every_table_that_a_stage_makes_has_a_schema():
    made = {table for tables in MADE_BY.values() for table in tables}
    assert made - set(SCHEMAS) == {"vocals_audio", "vocalists.safetensors"}, "these two are files and not tables"


def test_a_column_has_the_same_type_in_every_table():
    types: dict[str, set[pa.DataType]] = {}
    for schema in SCHEMAS.values():
        for field in schema:
            types.setdefault(field.name, set()).add(field.type)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
    assert all(types[name] == {TIME} for name in types if name.endswith("_at"))
    assert all(types[name] == {pa.float64()} for name in types if name.endswith(("_s", "_db")))
