# The image of every node: head, workers with and without GPUs.
#   docker build -t vocatlas:cpu .
#   docker build -t vocatlas:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# PyTorch from its CPU index saves 5 GB; its CUDA wheels bring CUDA's libraries with them, so one base serves both.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/vocatlas
ENV PATH=/opt/vocatlas/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE README.md ./
COPY encoder encoder
COPY jobs jobs
COPY pipeline pipeline
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt '.[cluster,evaluate,train]'

FROM python:${PYTHON}-slim
# Ray's start command looks for wget in health checks of pods, and for procps.
RUN apt-get update && apt-get install -y --no-install-recommends procps wget && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --gid 100 ray
COPY --from=build /opt/vocatlas /opt/vocatlas
COPY --chown=1000:100 configs /home/ray/configs
ENV PATH=/opt/vocatlas/bin:$PATH PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
USER 1000
WORKDIR /home/ray
CMD ["python", "-m", "jobs.run", "--help"]
