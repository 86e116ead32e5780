# The study as a graph of stages: each target needs the one that it names behind the colon.
# Every stage runs the cells that are stale or absent, each by a `datalad run` of its own (code/provenance/runner.py).

PYTHON ?= python3
STUDY := $(PYTHON) code/study.py
# Tells apart what two calls of make at once have done.
export MAKE_RUN := $(shell echo $$PPID)
# Set on the command line, these stand in the recorded command; N_JOBS and DASK change no result and are not recorded.
export PARAMS N_PERMUTATIONS N_BOOTSTRAPS N_JOBS DASK
# Where the packages lie, on a machine without network.
export WHEELS
# What to explain.
export RESULT SINCE
# Where to write a crate, or to publish.
export TO PRIVATE
# Where one's own data lie.
export CONTRASTS BEHAVIOR MASKS SIGNATURES ONLY

.DEFAULT_GOAL := help
.PHONY: all setup inputs own synthetic check cell prep extract regress classify plot submit cancel wheelhouse status verify explain on-demand crate publish doctor test bench validity trial help
.NOTPARALLEL:

all: inputs ## reproduce the study: set up, run what is stale or absent, end with a verdict
	@$(STUDY) run all
	@$(STUDY) verdict

setup: ## make the environment and the annex ready; everything below does it where it is needed [WHEELS=folder: no network]
	@$(STUDY) setup

inputs: setup ## install the input subdatasets: the synthetic ones are rebuilt at the pinned commits
	@$(STUDY) inputs

own: setup ## use your own data, on a branch of its own: CONTRASTS=... BEHAVIOR=... [MASKS=... ONLY='con_*'], see docs/own-study.md
	@$(STUDY) own

synthetic: setup ## go back from your own data to the synthetic study
	@$(STUDY) synthetic

check: inputs ## report on the inputs before anything is computed: trials, grids, masks, suspicious images, costs
	@$(STUDY) check

prep extract regress classify signatures similarity expression relate plot: inputs
	@$(STUDY) run $@

prep: ## join scores and images, apply exclusions
extract: ## take the voxels of each mask out of the images
regress: ## predict the score from the brain, for every mask and algorithm
classify: ## tell the datasets apart
plot: ## draw figures, tables and pages of the results that there are

cell: inputs ## make one result, and of what it needs what is stale or absent: CELL="regress M1 lasso"
	@$(STUDY) cell $(CELL)

submit: inputs ## compute on a Slurm cluster: one job for each cell that is not fresh, see docs/cluster.md
	@$(STUDY) submit

cancel: setup ## cancel the jobs of this study, and no others
	@$(STUDY) cancel

wheelhouse: ## download the locked packages for a machine without network [TO=wheels], see docs/cluster.md
	@$(STUDY) wheelhouse

status: setup ## say which results are fresh, stale (and why) or absent
	@$(STUDY) status

verify: setup ## recompute everything beside the recorded results and compare [CELL="regress M1 lasso"]
	@$(STUDY) verify $(CELL)

explain: setup ## say what made a result, or what changed since a revision: RESULT=path [SINCE=rev]
	@$(STUDY) explain

on-demand: setup ## from now on let `datalad get` recompute what is stored nowhere: it then runs this repository's code
	@$(STUDY) on-demand

crate: setup ## export results and run records as a Process Run Crate for other tools: TO=FOLDER
	@$(STUDY) crate

publish: setup ## send group-level results to a public store: TO=ria+file:///folder or sibling [PRIVATE=... gets all results]
	@$(STUDY) publish

doctor: ## check git, annex, identity, disk, cores, tree; name each problem and how to fix it
	@$(STUDY) doctor

test: setup ## run the tests [FAST=1 leaves out the slow ones]
	@$(STUDY) test $(if $(FAST),fast)

bench: setup ## measure the speed that the README states
	@$(STUDY) bench

validity: setup ## simulate studies and measure the p values and intervals of docs/validity.md [TABLES="order coverage"]
	@$(STUDY) validity $(TABLES)

trial: setup ## see it work in two minutes: a small study in a folder of its own [TO=../face-of-pain-trial]
	@$(STUDY) trial

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
