import re

from jobs import demo
from pipeline.demo import truth


def test_the_summary_says_what_was_found_where_it_is_and_what_to_try(chain, chain_truth, capsys):
    demo.summarise(chain, chain_truth)
    text = capsys.readouterr().out
    for part in (
        "unreadable",
        "instrumental",
        "B-cubed F1",
        "names from known voices",
        "EER",
        "pd.read_parquet",
        chain.workspace,
        "report.html",
    ):
        assert part in text
    right, files = text.split(" files ended as expected")[0].split("\n")[-1].split(" of ")
    assert int(right) == int(files) == len(chain_truth)


def test_the_demo_renders_only_missing_files(chain, capsys):
    assert demo.run_demo(chain) == 0
    text = capsys.readouterr().out
    assert "rendering" not in text
    assert len(re.findall(r" 0 (files|tracks|shards) to do", text)) >= 4


def test_the_comparison_covers_all_files(chain_workspace, chain_truth):
    assert truth.compare(chain_workspace, chain_truth, set()).files == len(chain_truth)
