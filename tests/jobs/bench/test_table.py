"""The clock counts the processor time of all processes, and a table is Markdown."""

import subprocess
import sys

from jobs.bench.table import clock, header, row


def test_the_clock_counts_child_processes_too():
    started = clock()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    wall_s, cpu_s = clock() - started
    assert wall_s > 0
    assert cpu_s > 0


def test_a_table_is_markdown(capsys):
    header("Speed", "way", "seconds")
    row("loop", 1.5)
    assert capsys.readouterr().out == "\n### Speed\n\n| way | seconds |\n| --- | --- |\n| loop | 1.5 |\n"
