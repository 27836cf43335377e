"""Send a stage to a Ray cluster as a job: the same entry point with the same arguments, its log followed here.

    python -m jobs.submit --address http://127.0.0.1:8265 embed configs/ray-cluster.yaml [section.key=value ...]
    python -m jobs.submit --follow JOB        python -m jobs.submit --stop JOB

The code and the config travel with the job (see `jobs.parcel`); local paths in the config are made absolute first, so
that they mean the same files on a cluster that shares this machine's disk. The exit status is the job's own.
"""

import argparse
import asyncio
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from jobs import INTERRUPTED_STATUS, engine, parcel
from jobs.connect import first_line
from pipeline.config import STAGES, Config, load
from pipeline.store.errors import ConfigError
from pipeline.store.locations import is_remote

READY_S = 60.0
LOST_S = 60.0  # for which a log may be unreachable
TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")  # about files left behind


def entry_point(stage: str, config_path: str, config: Config, overrides: Sequence[str]) -> str:
    """Return the command that the job runs, with absolute local paths."""
    given = {
        "workspace": config.workspace,
        "catalogue": config.catalogue,
        "known": config.known,
        "evaluate.audio": config.evaluate.audio,
        "store.weights": config.store.weights,
    }
    paths = {
        key: str(Path(value).expanduser().absolute()) for key, value in given.items() if value and not is_remote(value)
    }
    kept = [item for item in overrides if item.partition("=")[0] not in paths]
    settings = [f"{key}={value}" for key, value in paths.items()]
    return shlex.join(["python", "-m", f"jobs.{stage}", config_path, *kept, *settings])


def submit(
    client: JobSubmissionClient, stage: str, config_path: str, overrides: Sequence[str], environment: dict[str, str]
) -> str:
    """Submit the stage and return the job's id.

    Raises:
        ConfigError: the config is wrong, or too much would be sent.
    """
    command = entry_point(stage, parcel.CONFIG, load(config_path, overrides), overrides)
    with tempfile.TemporaryDirectory() as folder:
        parcel.pack(Path(config_path), Path(folder))
        return _submit_when_ready(
            client,
            stage,
            entrypoint=command,
            metadata={"vocatlas_stage": stage},
            runtime_env={"working_dir": folder, "env_vars": environment},
        )


def _submit_when_ready(client: JobSubmissionClient, stage: str, **job: object) -> str:
    """Submit a job and return its id; a head that has just started accepts jobs only after some seconds."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return client.submit_job(**job)  # type: ignore[arg-type]
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def follow(client: JobSubmissionClient, job: str) -> int:
    """Print a job's log from its beginning until the job ends, and return its exit status."""
    asyncio.run(_follow(client, job))
    status = client.get_job_status(job)
    print(f"{job}: {status.value}", flush=True)
    return 0 if status == JobStatus.SUCCEEDED else 1


async def _follow(client: JobSubmissionClient, job: str) -> None:
    """Print a job's log until the job ends; if the connection breaks, connect again and print the rest."""
    printed, deadline = 0, time.monotonic() + LOST_S
    while True:
        skipped = 0  # the log is sent from its beginning each time
        try:
            async for text in client.tail_job_logs(job):
                new = text[max(printed - skipped, 0) :]
                skipped += len(text)
                if new:
                    print(new, end="", flush=True)
                    printed += len(new)
                    deadline = time.monotonic() + LOST_S
        except (aiohttp.ClientError, RuntimeError) as error:
            if time.monotonic() > deadline:
                raise ConnectionError(str(error)) from error
        if client.get_job_status(job).is_terminal():
            return
        await asyncio.sleep(1)


def _say_how(address: str, job: str) -> None:
    """Print the commands for following and for stopping a job."""
    for verb in ("follow", "stop"):
        command = shlex.join(["python", "-m", "jobs.submit", "--address", address, f"--{verb}", job])
        print(f"to {verb} it: {command}", file=sys.stderr, flush=True)


def work(arguments: argparse.Namespace) -> int:
    """Do what the command line says, and return the exit status.

    Raises:
        ConfigError: the cluster cannot be reached, or knows no such job, or the config is wrong.
    """
    address, job = arguments.address, arguments.follow or arguments.stop
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"{address} is not the address of a dashboard, where jobs are submitted: http://host:8265")
    if not job and not (arguments.stage and arguments.config):
        raise ConfigError("name a stage and a config, or a job with --follow or --stop")
    environment = parcel.variables(arguments.env, arguments.env_file)
    if not job:
        load(arguments.config, [*arguments.overrides, *arguments.set])  # errors in the config are reported first
    try:
        client = JobSubmissionClient(address)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        if arguments.stop:
            client.stop_job(job)
            print(f"{job} is being stopped", flush=True)
            return 0
        if not job:
            settings = [*arguments.overrides, *arguments.set]
            job = submit(client, arguments.stage, arguments.config, settings, environment)
        try:
            if not arguments.follow:
                print(f"submitted {job} to {address}", flush=True)
            if not arguments.detach:
                return follow(client, job)
        except (KeyboardInterrupt, asyncio.CancelledError):
            print(f"no longer following {job}, which continues", file=sys.stderr)
        _say_how(address, job)
        return 0 if arguments.detach else INTERRUPTED_STATUS
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        asked = f"{address} has no job {job}" if job else f"no job can be submitted to {address}"
        raise ConfigError(f"{asked}: {first_line(error)}. For a Ray head on this machine: make ray-up") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m jobs.submit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265"),
        help="of the Ray cluster's dashboard",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=value]",
        help="a variable for the job; without a value, this environment's",
    )
    parser.add_argument("--env-file", action="append", default=[], metavar="FILE", help="of lines NAME=value")
    parser.add_argument("--detach", action="store_true", help="do not follow the job")
    parser.add_argument("--follow", metavar="JOB", help="follow the log of a job that was submitted before")
    parser.add_argument("--stop", metavar="JOB", help="stop a job")
    parser.add_argument("stage", nargs="?", choices=["run", *STAGES])
    engine.add_config_arguments(parser, optional=True)
    arguments = parser.parse_args(argv)
    return engine.guarded(lambda: work(arguments))


if __name__ == "__main__":
    sys.exit(main())
