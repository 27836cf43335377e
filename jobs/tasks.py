"""Work in Ray's tasks: a `pipeline.scoring.index.Spread` over all machines of the cluster, or over this one."""

from collections.abc import Callable, Sequence
from typing import Any

import ray

from jobs.connect import start_ray


def in_tasks(work: Callable[..., Any], calls: Sequence[tuple]) -> list[Any]:
    """Do work for each of several tuples of arguments in a task of its own; return what came of each, in their order.

    What stands in several calls travels once.
    """
    start_ray()
    task = ray.remote(work)
    shared = {id(argument): argument for call in calls for argument in call}
    put = {key: ray.put(argument) for key, argument in shared.items()}
    return ray.get([task.remote(*(put[id(argument)] for argument in call)) for call in calls])
