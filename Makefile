# Vocatlas: who sings on which track?   `make help` lists the targets.

PYTHON    ?= python3
CONFIG    ?= configs/local.yaml
WORKSPACE ?=
CATALOGUE ?=
KNOWN     ?=
SET       ?=
AUDIO     ?=
VECTORS   ?=
HEAD      ?=
TRACKS    ?=
RATES     ?=
RAY_ADDRESS ?= http://127.0.0.1:8265

# What users give is taken literally, whatever spaces, quotes and other characters it contains: make never expands it,
# and it is quoted for the shell. SET holds several settings, which the command splits as a shell would.
GIVEN := PYTHON CONFIG WORKSPACE CATALOGUE KNOWN SET AUDIO VECTORS HEAD TRACKS RATES RAY_ADDRESS
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
quote  = '$(subst ','\'',$(1))'

STAGES  := scan separate shard train embed cluster tag evaluate report export
BENCHES := bench-separate bench-inputs bench-store bench-embed bench-train bench-evaluate
VENV    := .venv
RUN     := $(VENV)/bin/python -m
SETTINGS = $(if $(CATALOGUE),$(call quote,catalogue=$(CATALOGUE))) $(if $(KNOWN),$(call quote,known=$(KNOWN))) \
           $(if $(WORKSPACE),$(call quote,workspace=$(WORKSPACE)))
OPTIONS  = $(SETTINGS) $(if $(SET),--set $(call quote,$(SET)))
WITH     = $(call quote,$(CONFIG)) $(OPTIONS)
# RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 makes Ray keep to the loopback address on Linux too, 1 lets others join on macOS.
RAY      = RAY_AUTH_MODE=token RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=$(if $(filter 127.0.0.1,$(HEAD)),0,1) \
           PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/ray

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster lint run results picture calibrate bench-recipes bench-teach bench-answers bench-review bench-excerpts bench-scale bench-day bench-plan ray-up ray-join ray-down clean $(STAGES) $(STAGES:%=submit-%) submit-run $(BENCHES) bench-gpu

help:  ## list the targets
	@awk -F':[^#]*## ' -v stages='$(STAGES)' -v benches='$(BENCHES)' ' \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z$$][^ :=]*:[^#=]*## / { sub(/\$$\(STAGES\)/, stages, $$1); sub(/\$$\(BENCHES\)/, benches, $$1); \
	    printf (length($$1) > 14 ? "  make %s\n%22s%s\n" : "  make %-14s %s%s\n"), $$1, "", $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Options: CATALOGUE=folder|glob|manifest.csv KNOWN=known.csv WORKSPACE=… CONFIG=$(CONFIG) SET=\"section.key=value …\""

##@ Start

setup: $(VENV)/.ready  ## create a virtual environment in .venv with the tested versions

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(call quote,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.11"; exit 1; }
	@echo "installing into $(VENV) (about 7 GB, a few minutes)"
	$(call quote,$(PYTHON)) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## run all stages on a rendered catalogue, and compare with the truth
	$(RUN) jobs.demo configs/demo.yaml $(OPTIONS)

run: setup  ## run all stages on your own music: CATALOGUE=… [KNOWN=…] [WORKSPACE=…]
	$(RUN) jobs.run $(WITH)

##@ One stage at a time

evaluate submit-evaluate: SETTINGS += $(if $(AUDIO),$(call quote,evaluate.audio=$(AUDIO)) \
  $(if $(WORKSPACE),,workspace=workspace/evaluation))
$(STAGES): setup  ## one stage: CONFIG=… SET=…
	$(RUN) jobs.$@ $(WITH)

##@ On a Ray cluster

submit-run $(STAGES:%=submit-%): submit-%: setup
	RAY_AUTH_MODE=token $(RUN) jobs.submit --address $(call quote,$(RAY_ADDRESS)) $* $(WITH)

submit-%:  ## one stage (or run) as a job on a Ray cluster: RAY_ADDRESS=…

ray-up: setup  ## start a Ray head that other machines can join with its token; HEAD=127.0.0.1: for this machine only
	$(RAY) get-auth-token --generate > /dev/null
	$(RAY) start --head --disable-usage-stats \
	  $(if $(HEAD),--node-ip-address=$(call quote,$(HEAD)) --dashboard-host=$(call quote,$(HEAD)),--dashboard-host=0.0.0.0)

ray-join: setup  ## let this machine join a head that `make ray-up` started on another: HEAD=its address
	$(RAY) start --address=$(call quote,$(or $(HEAD),$(error ray-join needs HEAD=address)):6379) --disable-usage-stats

ray-down: setup  ## stop Ray on this machine
	$(RAY) stop

##@ Measure

results: setup  ## results on real recordings (docs/results.md): AUDIO=folder
	$(RUN) jobs.bench.results $(call quote,$(AUDIO)) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

calibrate: setup  ## fit the probabilities of an encoder's scores: WORKSPACE=… with voices, KNOWN=… all their singers
	$(RUN) jobs.calibrate $(WITH)

bench-recipes: setup  ## training recipes compared: WORKSPACE=… with clips, KNOWN=… the tracks to measure on
	$(RUN) jobs.bench.recipes $(WITH)

bench-teach: setup  ## what is learned from a catalogue without labels: [AUDIO=folder] [VECTORS=workspace]
	$(RUN) jobs.bench.teach $(if $(AUDIO),--audio $(call quote,$(AUDIO))) \
	  $(if $(VECTORS),--vectors $(call quote,$(VECTORS))) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))
	$(if $(AUDIO),$(RUN) jobs.bench.rounds --audio $(call quote,$(AUDIO)) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE))))

bench-answers: setup  ## groups, names and disagreements compared with the truth: [AUDIO=folder] [VECTORS=workspace]
	$(RUN) jobs.bench.answers $(if $(AUDIO),--audio $(call quote,$(AUDIO))) \
	  $(if $(VECTORS),--vectors $(call quote,$(VECTORS))) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

bench-review: setup  ## what 20 answers are worth, chosen by review/ or at random: [AUDIO=folder] [VECTORS=workspace]
	$(RUN) jobs.bench.review $(if $(AUDIO),--audio $(call quote,$(AUDIO))) \
	  $(if $(VECTORS),--vectors $(call quote,$(VECTORS))) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

bench-scale: setup  ## cost and accuracy by catalogue size: [TRACKS=100000] [RATES="0.01 0.03 0.08"]
	$(RUN) jobs.bench.scale $(if $(TRACKS),--tracks $(call quote,$(TRACKS))) \
	  $(if $(RATES),--rates $(foreach rate,$(RATES),$(call quote,$(rate)))) \
	  $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

bench-day: setup  ## a simulated day on a cluster that loses its nodes: its workers sleep instead of computing
	$(RUN) jobs.bench.day $(if $(TRACKS),--tracks $(call quote,$(TRACKS))) \
	  $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

bench-plan: setup  ## machine-hours, storage, requests and money for a catalogue: [TRACKS=10000000]
	$(RUN) jobs.bench.plan $(if $(TRACKS),--tracks $(call quote,$(TRACKS)))

bench-excerpts: setup  ## cost and accuracy of processing only excerpts: [AUDIO=folder] [VECTORS=workspace]
	$(RUN) jobs.bench.excerpts $(if $(AUDIO),--audio $(call quote,$(AUDIO))) \
	  $(if $(VECTORS),--vectors $(call quote,$(VECTORS))) $(if $(WORKSPACE),--workspace $(call quote,$(WORKSPACE)))

$(BENCHES): bench-%: setup  ## speed and accuracy of one part: [AUDIO=folder]
	$(RUN) jobs.bench.$* $(if $(AUDIO),--audio $(call quote,$(AUDIO)))

bench-gpu: setup  ## speed of separation, embedding and training on one GPU
	$(RUN) jobs.bench.gpu

##@ Work on the code

test: setup  ## all tests but the slow ones
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

test-cluster: setup  ## the slow tests: outages, several nodes, killed and resumed runs, trainings, ten thousand tracks
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 -m slow

lint: setup  ## ruff, mypy, and import-linter, which checks which package may import which
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

picture: setup  ## make docs/report.png from the report of a workspace: [WORKSPACE=…]
	$(RUN) jobs.bench.screenshot $(call quote,$(or $(WORKSPACE),workspace/demo)) docs/report.png

clean:  ## remove what make has built; your workspaces stay
	rm -rf $(VENV) workspace/demo .pytest_cache .mypy_cache .ruff_cache .grimp_cache .import_linter_cache .coverage *.egg-info
