"""The cluster's manifests: KubeRay's fields as its v1 types have them, pods as Kubernetes' schemas do, and sense."""

from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
POD = {"type": "object", "required": ["spec"]}


def closed(required: tuple[str, ...] = (), **fields: dict) -> dict:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


# The fields of https://github.com/ray-project/kuberay, ray-operator/apis/ray/v1, of which its CRDs are generated:
# raycluster_types.go at commit 026f143, rayjob_types.go at 0057210. No cluster has been asked.
CLUSTER = closed(
    ("headGroupSpec",),
    rayVersion={"type": "string"},
    enableInTreeAutoscaling={"type": "boolean"},
    suspend={"type": "boolean"},
    headServiceAnnotations=TEXTS,
    autoscalerOptions=closed(
        resources={"type": "object"},
        image={"type": "string"},
        imagePullPolicy={"type": "string"},
        env={"type": "array"},
        envFrom={"type": "array"},
        volumeMounts={"type": "array"},
        securityContext={"type": "object"},
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    ),
    headGroupSpec=closed(
        ("template", "rayStartParams"),
        serviceType={"type": "string"},
        headService={"type": "object"},
        enableIngress={"type": "boolean"},
        rayStartParams=TEXTS,
        template=POD,
    ),
    workerGroupSpecs={
        "type": "array",
        "items": closed(
            ("groupName", "template", "rayStartParams", "minReplicas", "maxReplicas"),
            groupName={"type": "string"},
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            numOfHosts=COUNT,
            rayStartParams=TEXTS,
            template=POD,
            scaleStrategy={"type": "object"},
        ),
    },
)
TEXT, BOOL, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
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
    managedBy=TEXT,
    schedule=TEXT,
    deletionStrategy={"type": "object"},
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
def test_pods_are_what_kubernetes_takes(name):
    for template in pods(manifest(name)["spec"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_no_pod_is_root_and_every_node_may_use_the_store():
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
