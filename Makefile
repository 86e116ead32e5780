# A stage makes its results that are stale or absent, and what they need, each by a `datalad run` of its own
# (code/provenance/run/runner.py). Which stages there are and what each reads is declared in code/stages.py. What a
# target needs first, environment, annex and inputs, study.py makes ready itself: a process more would take longer.

PYTHON ?= python3
STUDY := $(PYTHON) code/study.py
# As code/stages.py declares them.
STAGES := $(shell sed -n 's/^        name="\(.*\)",/\1/p' code/stages.py)
# Options of every target: they change no result. WHEELS is where the packages lie, on a machine without network.
OPTIONS := N_JOBS DASK WHEELS
# Options of some targets. The first three change a result and stand in the recorded command.
RESULTS := all cell check crate notebook on-demand publish status submit update verify $(STAGES)
TAKEN := $(foreach option,PARAMS N_PERMUTATIONS N_BOOTSTRAPS,$(RESULTS:%=$(option):%)) \
    CELL:cell CELL:verify RESULT:explain SINCE:explain TO:trial TO:wheelhouse TO:crate TO:publish PRIVATE:publish \
    YES:publish CONTRASTS:own BEHAVIOR:own MASKS:own SIGNATURES:own ONLY:own FROM:update FAST:test TABLES:validity
OPTIONS += $(sort $(foreach pair,$(TAKEN),$(firstword $(subst :, ,$(pair)))))
export $(OPTIONS)
export MAKE_OPTIONS := $(OPTIONS)
export MAKE_TAKEN := $(TAKEN)
export MAKE_GOALS := $(MAKECMDGOALS)
# Unknown options and targets, and options of other targets, are refused by study.py, which suggests what was meant.
export MAKE_GIVEN := $(foreach name,$(filter-out PYTHON MAKEFLAGS SHELL,$(.VARIABLES)),$(if $(findstring command,$(origin $(name))),$(name)))

.DEFAULT_GOAL := help
.NOTPARALLEL:
TARGETS := $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' Makefile) $(STAGES)
export MAKE_TARGETS := $(TARGETS)
export MAKE_UNKNOWN_TARGETS := $(filter-out $(TARGETS),$(MAKECMDGOALS))
.PHONY: $(TARGETS) $(MAKE_UNKNOWN_TARGETS)

##@ Reproduce
all: ## make everything: set up, run what is stale or absent
	@$(STUDY) run all

trial: ## see it work in two minutes, in a folder of its own [TO=]
	@$(STUDY) trial

open: ## open the report in a browser
	@$(STUDY) open

notebook: ## open the notebook in JupyterLab (made first if absent)
	@$(STUDY) notebook

status: ## show which results are fresh, stale (and why) or absent
	@$(STUDY) status

verify: ## recompute everything beside the recorded results [CELL=]
	@$(STUDY) verify $(CELL)

##@ One stage, or one result
$(STAGES):
	@$(STUDY) run $@

cell: ## make one result and what it needs: CELL="regress M1 lasso"
	@$(STUDY) cell $(CELL)

##@ On a cluster
submit: ## compute under Slurm, a job for each result (docs/cluster.md)
	@$(STUDY) submit

cancel: ## cancel the jobs of this study, and no others
	@$(STUDY) cancel

wheelhouse: ## download the packages for a machine without network [TO=]
	@$(STUDY) wheelhouse

##@ Your own data
own: ## use your own data: CONTRASTS=, BEHAVIOR= (docs/own-study.md)
	@$(STUDY) own

check: ## look at the inputs before anything is computed
	@$(STUDY) check

synthetic: ## go back to the synthetic study
	@$(STUDY) synthetic

update: ## merge newer code, keep your inputs and results [FROM=]
	@$(STUDY) update

##@ Where results come from, and for others
explain: ## say what made a result, or what changed: RESULT= [SINCE=]
	@$(STUDY) explain

on-demand: ## let `datalad get` recompute results (runs this code)
	@$(STUDY) on-demand

crate: ## export results with their provenance: TO=folder
	@$(STUDY) crate

publish: ## send what is declared to a public store: TO= [YES=1]
	@$(STUDY) publish

manifest: ## declare code and documents to be public
	@$(STUDY) manifest

##@ The machine
setup: ## make environment and annex ready (all targets do, as needed)
	@$(STUDY) setup

inputs: ## install the inputs: the synthetic ones are rebuilt
	@$(STUDY) inputs

doctor: ## check this machine and clone; say how to fix each problem
	@$(STUDY) doctor

test: setup ## run the tests [FAST=1 leaves out the slow ones]
	@$(STUDY) test $(if $(FAST),fast)

bench: ## measure the speed that docs/speed.md reports
	@$(STUDY) bench

validity: ## simulate studies to check p values and intervals [TABLES=]
	@$(STUDY) validity $(TABLES)

help: ## show this list
	@awk -F ':.*## ' -v row='  make %-12s %s\n' '\
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^##@ One stage/ { while ((getline line < "code/stages.py") > 0) { split(line, quoted, "\""); \
	        if (line ~ /^        name=/) name = quoted[2]; \
	        if (line ~ /^        about=/) printf row, name, quoted[2] } } \
	    /^[a-z-]+:.*## / { printf row, $$1, $$2 }' Makefile

$(MAKE_UNKNOWN_TARGETS):
	@$(STUDY) setup
