"""Run work in Ray tasks: a `pipeline.scoring.index.Starmap` over all machines of the cluster, or over this one."""

from collections.abc import Callable, Sequence
from typing import Any

import ray

from jobs.connect import start_ray


def in_tasks(work: Callable[..., Any], calls: Sequence[tuple]) -> list[Any]:
    """Call a function with each of several tuples of arguments, each in its own task, and return the results in order.

    An argument that occurs in several calls is sent once.
    """
    start_ray()
    task = ray.remote(work)
    shared = {id(argument): argument for call in calls for argument in call}
    put = {key: ray.put(argument) for key, argument in shared.items()}
    return ray.get([task.remote(*(put[id(argument)] for argument in call)) for call in calls])
