"""Send a stage to a Ray cluster as a job: the same entry point with the same arguments, its log followed here.

    python -m jobs.submit --address http://127.0.0.1:8265 embed configs/ray-cluster.yaml [section.key=value ...]

The folder that holds the code travels with the job; local paths in the config are made absolute first, so that
they mean the same files on a cluster that shares this machine's disk. The exit status is the job's own.
"""

import argparse
import asyncio
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from jobs import INTERRUPTED_STATUS, engine
from jobs.connect import first_line
from pipeline.config import STAGES, Config, load
from pipeline.store.errors import ConfigError
from pipeline.store.locations import is_remote

CODE = Path(__file__).resolve().parents[1]
READY_S = 60.0
TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")  # of each file left behind
LEFT_BEHIND = [".git", ".venv", "workspace", "tests", "**/__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"]


def entry_point(stage: str, config_path: str, config: Config, overrides: Sequence[str]) -> str:
    """Return the command that the job runs, local paths absolute."""
    given = {"workspace": config.workspace, "catalogue": config.catalogue, "known": config.known,
             "evaluate.audio": config.evaluate.audio}
    paths = {key: str(Path(value).expanduser().absolute())
             for key, value in given.items() if value and not is_remote(value)}
    kept = [item for item in overrides if item.partition("=")[0] not in paths]
    settings = [f"{key}={value}" for key, value in paths.items()]
    return shlex.join(["python", "-m", f"jobs.{stage}", config_path, *kept, *settings])


def submit(address: str, stage: str, config_path: str, overrides: Sequence[str]) -> int:
    """Submit the stage, print its log as it runs, and return 0 if it succeeded.

    Raises:
        ConfigError: the config is wrong, lies outside the project, or the cluster cannot be reached.
    """
    config = load(config_path, overrides)
    relative = Path(config_path).resolve()
    if not relative.is_relative_to(CODE):
        raise ConfigError(f"{config_path} must lie inside {CODE}, so that it travels with the job")
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"{address} is no address of a dashboard, to which jobs are submitted: http://host:8265")
    try:
        client = JobSubmissionClient(address)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        job = _submit_when_ready(client, entry_point(stage, str(relative.relative_to(CODE)), config, overrides), stage)
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        raise ConfigError(f"no job can be submitted to {address}: {first_line(error)}. For a Ray head on this machine: "
                          "make ray-up") from error
    print(f"submitted {job} to {address}", flush=True)
    try:
        asyncio.run(_follow(client, job))
    except KeyboardInterrupt:
        print(f"{job} goes on; this ends it: ray job stop --address {address} {job}", file=sys.stderr, flush=True)
        return INTERRUPTED_STATUS
    status = client.get_job_status(job)
    print(f"{job}: {status.value}", flush=True)
    return 0 if status == JobStatus.SUCCEEDED else 1


def _submit_when_ready(client: JobSubmissionClient, command: str, stage: str) -> str:
    """Submit a command and return the job's id; a head that has just been started takes jobs some seconds later."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return client.submit_job(
                entrypoint=command, runtime_env={"working_dir": str(CODE), "excludes": LEFT_BEHIND},
                metadata={"vocatlas_stage": stage})
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


async def _follow(client: JobSubmissionClient, job: str) -> None:
    async for text in client.tail_job_logs(job):
        print(text, end="", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and submit."""
    parser = argparse.ArgumentParser(prog="python -m jobs.submit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--address", default="http://127.0.0.1:8265", help="of the Ray cluster's dashboard")
    parser.add_argument("stage", choices=["run", *STAGES])
    engine.add_config_arguments(parser)
    arguments = parser.parse_args(argv)
    settings = [*arguments.overrides, *arguments.set]
    return engine.guarded(lambda: submit(arguments.address, arguments.stage, arguments.config, settings))


if __name__ == "__main__":
    sys.exit(main())
