import pytest
import yaml

from pipeline.store import provenance, tables
from pipeline.store.errors import WorkspaceError


def fill(workspace):
    tables.write(workspace, "vocals", [{"track_id": "a"}], "p")
    tables.write(workspace, "clips", [{"clip_id": "a-0", "track_id": "a"}], "p")
    tables.write(workspace, "voices", [{"track_id": "a", "embedding": [1.0]}], "p")
    tables.replace(workspace, "tags", [{"track_id": "a"}])
    for stage in ("scan", "separate", "shard"):
        tables.write(workspace, "failures", [{"stage": stage, "key": stage}], f"{stage}-p")


def test_the_same_config_may_continue_with_other_compute_settings(make_config, workspace):
    provenance.claim(workspace, make_config(), "shard")
    provenance.claim(workspace, make_config(shard={"compute": {"batch": 1}}), "shard")


def test_another_config_is_refused_naming_what_differs(make_config, workspace):
    provenance.claim(workspace, make_config(), "shard")
    with pytest.raises(WorkspaceError, match=r"shard.max_s: 10.0 there, 12.0 here.*replace=true"):
        provenance.claim(workspace, make_config(shard={"max_s": 12}), "shard")


def test_another_encoder_is_refused(make_config, workspace):
    provenance.claim(workspace, make_config(), "embed", encoder_id="tiny-1")
    with pytest.raises(WorkspaceError, match="encoder_id: tiny-1 there, tiny-2 here"):
        provenance.claim(workspace, make_config(), "embed", encoder_id="tiny-2")


def test_replace_discards_a_table_and_what_depends_on_it(make_config, workspace):
    fill(workspace)
    provenance.claim(workspace, make_config(), "separate")
    provenance.claim(workspace, make_config(), "shard")
    provenance.claim(workspace, make_config(shard={"max_s": 12}, replace=True), "shard")
    assert [name for name in ("vocals", "clips", "voices", "tags") if tables.parts(workspace, name)] == ["vocals"]
    assert tables.failed_keys(workspace, "separate") == {"separate"}
    assert tables.failed_keys(workspace, "shard") == set()
    provenance.claim(workspace, make_config(shard={"max_s": 12}), "shard")


def test_a_setting_that_an_older_config_lacks_has_its_default(make_config, workspace):
    provenance.claim(workspace, make_config(), "shard")
    made_by = provenance.saved(workspace, "clips")
    del made_by["shard"]["mix_share"], made_by["separate"]["precision"]
    made_by["shard"]["given_up"] = 3
    workspace.write_bytes("configs/clips.yaml", yaml.safe_dump(made_by).encode())
    with pytest.raises(WorkspaceError, match=r"other config \(shard.mix_share: 0.2 there, 0.5 here\)"):
        provenance.claim(workspace, make_config(shard={"mix_share": 0.5}), "shard")
    assert "given_up" not in provenance.saved(workspace, "clips")["shard"]
    provenance.claim(workspace, make_config(), "shard", calibration="new")
    assert provenance.saved(workspace, "clips")["calibration"] == "new"
    assert provenance.saved(workspace, "clips")["shard"]["mix_share"] == 0.2


def test_a_config_inside_the_table_is_read_and_moved_out(make_config, workspace):
    fill(workspace)
    saved = make_config(shard={"max_s": 12}).to_yaml("separate", "shard")
    workspace.write_bytes("clips/_config.yaml", saved.encode())
    with pytest.raises(WorkspaceError, match="shard.max_s: 12.0 there, 10.0 here"):
        provenance.claim(workspace, make_config(), "shard")
    provenance.claim(workspace, make_config(shard={"max_s": 12}), "shard")
    assert workspace.list("clips") == tables.parts(workspace, "clips") != []
    assert provenance.saved(workspace, "clips")["shard"]["max_s"] == 12


def test_failures_can_be_cleared_stage_by_stage(workspace):
    fill(workspace)
    provenance.forget_failures(workspace, "scan")
    assert tables.failed_keys(workspace, "scan") == set()
    assert tables.failed_keys(workspace, "shard") == {"shard"}


def test_failures_of_one_class_can_be_cleared_and_the_others_stay(workspace):
    for part, kinds in (("1", ("decode", "unavailable")), ("2", ("unavailable",)), ("3", ("silent",))):
        rows = [{"stage": "scan", "key": f"{part} {kind}", "error": kind} for kind in kinds]
        tables.append(workspace, "failures", rows, f"scan-{part}")
    provenance.forget_failures(workspace, "scan", "unavailable")
    assert tables.failed_keys(workspace, "scan") == {"1 decode", "3 silent"}
    assert len(tables.parts(workspace, "failures")) == 2
