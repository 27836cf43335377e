"""The cluster's manifests fit KubeRay's CRDs and Kubernetes' schemas, the run's config and the tested Ray."""

from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT, BOOL, NUMBER, LIST, OBJECT = ({"type": name} for name in ("string", "boolean", "number", "array", "object"))
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
POD = {"type": "object", "required": ["spec"]}


def closed(required: tuple[str, ...] = (), **fields: dict) -> dict:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


# Names, types and requirements of the v1 schemas (openAPIV3Schema) in KubeRay's CRDs (Apache-2.0), which are in
# https://github.com/ray-project/kuberay, helm-chart/kuberay-operator/crds: ray.io_rayclusters.yaml at commit 017710c,
# ray.io_rayjobs.yaml at 037e91b. If the older one requires more or has fewer fields, so does this, and both accept the
# manifests. The schemas of the pods are Kubernetes' own, from kubernetes_validate. No real cluster was involved.
CLUSTER = closed(
    ("headGroupSpec",),
    rayVersion=TEXT,
    enableInTreeAutoscaling=BOOL,
    suspend=BOOL,
    headServiceAnnotations=TEXTS,
    autoscalerOptions=closed(
        resources=OBJECT,
        image=TEXT,
        imagePullPolicy=TEXT,
        env=LIST,
        envFrom=LIST,
        volumeMounts=LIST,
        securityContext=OBJECT,
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    ),
    headGroupSpec=closed(
        ("template", "rayStartParams"),
        serviceType=TEXT,
        headService=OBJECT,
        enableIngress=BOOL,
        rayStartParams=TEXTS,
        template=POD,
    ),
    workerGroupSpecs={
        "type": "array",
        "items": closed(
            ("groupName", "template", "rayStartParams", "minReplicas", "maxReplicas"),
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            numOfHosts=COUNT,
            rayStartParams=TEXTS,
            template=POD,
            scaleStrategy=closed(workersToDelete=LIST),
        ),
    },
)
JOB = closed(
    entrypoint=TEXT,
    clusterSelector=TEXTS,
    rayClusterSpec=CLUSTER,
    metadata=TEXTS,
    jobId=TEXT,
    runtimeEnvYAML=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    submitterPodTemplate=POD,
    submitterConfig=closed(backoffLimit=COUNT),
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=BOOL,
    suspend=BOOL,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    entrypointResources=TEXT,
)
KINDS = {"RayCluster": CLUSTER, "RayJob": JOB}


def manifest(name: str) -> dict:
    return yaml.safe_load((ROOT / "configs" / "kuberay" / f"{name}.yaml").read_text())


def pods(spec: dict) -> list[dict]:
    """Return the pod templates of a cluster or a job."""
    found = [
        spec.get("submitterPodTemplate"),
        spec.get("headGroupSpec", {}).get("template"),
        *(group["template"] for group in spec.get("workerGroupSpecs", [])),
    ]
    return [template for template in found if template]


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_a_manifest_has_only_fields_that_kuberay_knows(name):
    found = manifest(name)
    assert found["apiVersion"] == "ray.io/v1"
    jsonschema.validate(found["spec"], KINDS[found["kind"]])


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_pods_fit_the_schemas_of_kubernetes(name):
    for template in pods(manifest(name)["spec"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_no_pod_runs_as_root_and_every_node_can_use_the_store():
    spec = manifest("cluster")["spec"]
    for template in pods(spec):
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        (container,) = template["spec"]["containers"]
        assert {"secretRef": {"name": "vocatlas-store"}} in container["envFrom"]
    assert "USER 1000" in (ROOT / "Dockerfile").read_text()


def test_every_pool_of_the_config_fits_a_node_of_the_cluster():
    config = yaml.safe_load((ROOT / "configs" / "ray-cluster.yaml").read_text())
    nodes = [
        group["template"]["spec"]["containers"][0]["resources"]["requests"]
        for group in manifest("cluster")["spec"]["workerGroupSpecs"]
    ]
    for stage in ("scan", "separate", "shard", "embed"):
        cpus, gpus = (config[stage]["compute"].get(name, 0) for name in ("cpus", "gpus"))
        assert any(float(node["cpu"]) >= cpus and float(node.get("nvidia.com/gpu", 0)) >= gpus for node in nodes), stage


def test_the_cluster_runs_the_ray_that_is_tested():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    assert manifest("cluster")["spec"]["rayVersion"] == pinned["ray"]
    assert manifest("job")["spec"]["clusterSelector"] == {"ray.io/cluster": manifest("cluster")["metadata"]["name"]}
