"""Ray for a command: the cluster that RAY_ADDRESS names, or one on this machine that ends with the command."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import ray
import ray.data
import ray.exceptions
from ray._private.services import canonicalize_bootstrap_address

from encoder import allocator
from pipeline.sections import Compute
from pipeline.store import locations
from pipeline.store.errors import ConfigError, RunError

ANSWER_S = 10.0
PLACE_S = 600  # within which a cluster has to start a pool's first workers, on new nodes if need be
LONGEST_TMPDIR = 35  # bytes: Ray appends 68 to it for its sockets, whose paths may have 103 on macOS and 107 on Linux
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # gRPC: HTTP/2's preface, empty settings
SETTINGS_AT, SETTINGS = 3, 4  # of a frame of settings, with which HTTP/2 answers


def start_ray(compute: Compute | None = None) -> None:
    """Connect to the Ray cluster of RAY_ADDRESS, or start one on this machine, unless that has been done.

    Raises:
        ConfigError: nothing answers at RAY_ADDRESS, or this machine is too small for the pool of `compute`.
        RunError: Ray does not start on this machine.
    """
    address = os.environ.get("RAY_ADDRESS") or "local"
    if not ray.is_initialized():
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters to people is raised or counted
        os.environ.setdefault("RAY_worker_niceness", "0")  # a low-priority thread holds up its worker's others
        with _quiet():
            _start_here() if address == "local" else _connect(address)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        for name in ("ray.data", "ray.train"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they also raise the errors that they log
    if compute is None:
        return
    if address != "local":
        ray.data.DataContext.get_current().wait_for_min_actors_s = PLACE_S
        return
    for resource, each in (("CPU", compute.cpus), ("GPU", compute.gpus)):
        have, want = ray.cluster_resources().get(resource, 0), each * compute.workers_min
        if want > have:
            raise ConfigError(
                f"compute: {compute.workers_min} workers of {each:g} {resource} each are asked for, "
                f"and this machine has {have:g} {resource}. Lower workers_min or {resource.lower()}s."
            )


def lacking(compute: Compute) -> str:
    """Return a message if no node of the cluster can hold a worker yet, else ""."""
    wanted = {"CPU": compute.cpus, "GPU": compute.gpus}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(resource, 0) >= each for resource, each in wanted.items()) for node in nodes):
        return ""
    have = "; ".join(", ".join(f"{node.get(resource, 0):g} {resource}" for resource in wanted) for node in nodes)
    return f"no node has {compute.cpus:g} CPU and {compute.gpus:g} GPU for a worker (there are nodes with {have})"


@contextlib.contextmanager
def placed(compute: Compute) -> Iterator[None]:
    """Turn Ray's error about a pool for which the cluster has no room, and gets no nodes, into a clear one.

    Raises:
        ConfigError: `workers_min` workers did not start within `PLACE_S`.
    """
    try:
        yield
    except ray.exceptions.GetTimeoutError as error:
        why = lacking(compute) or f"its nodes have no room for {compute.workers_min} such workers at once"
        raise ConfigError(
            f"compute: the cluster did not start {compute.workers_min} workers of {compute.cpus:g} CPU "
            f"and {compute.gpus:g} GPU within {PLACE_S:g} s: {why}. Lower workers_min, cpus or gpus, or "
            "add such nodes."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Ray's core writes to the terminal: its log level, and every failed attempt to connect."""
    sys.stderr.flush()
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def _start_here() -> None:
    os.environ.update(allocator.ENVIRONMENT)  # inherited by the workers that Ray starts in advance
    if "RAY_TMPDIR" not in os.environ and len(os.fsencode(os.environ.get("TMPDIR", ""))) > LONGEST_TMPDIR:
        os.environ["RAY_TMPDIR"] = "/tmp"
    try:
        ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except Exception as error:  # Ray raises no particular class here
        ray.shutdown()
        raise RunError(
            f"Ray did not start on this machine: {first_line(error)}. If it was only slow, run the same "
            "command again; if it cannot write its files, name another folder for them in RAY_TMPDIR."
        ) from error


def _connect(address: str) -> None:
    try:
        _check(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": allocator.ENVIRONMENT | locations.places()},
        )
    except Exception as error:
        raise ConfigError(
            f"RAY_ADDRESS={address}: {first_line(error)}. Give the address of a running head (host:6379), "
            "or unset RAY_ADDRESS to work on this machine alone."
        ) from error


def _check(address: str) -> None:
    """Check that a Ray head answers, since `ray.init` would try for minutes.

    Raises:
        OSError: nothing answers.
        ValueError: something other than Ray answers.
    """
    if address.startswith(("http://", "https://")):
        raise ValueError("this is where jobs are submitted to (make submit-…), not where a command connects to")
    known = address if "://" in address else canonicalize_bootstrap_address(address)
    if known is None:
        raise ValueError("no Ray runs on this machine")
    place = urlsplit(known if "://" in known else f"//{known}")
    with socket.create_connection((place.hostname, place.port), ANSWER_S) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "0":
            connection.sendall(HELLO)
            answer = connection.recv(SETTINGS_AT + 1)
            if answer[SETTINGS_AT:] != bytes([SETTINGS]):
                raise ValueError("what answers there is not Ray")


def first_line(error: Exception) -> str:
    """Return the message of one of Ray's errors without the advice and the traces that follow it."""
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__
