# The few commands a person types. Each sets up .venv the first time.

PYTHON ?= python3
CORES ?= 2
# `make book scale=paper dataset=mnist seeds=5 steps=50000 out=build/paper`: any of them, all optional
scale =
dataset =
seeds =
steps =
out = build
minutes = 12
options =

SETTINGS := scale dataset seeds steps out minutes options CORES PYTHON
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# What is typed reaches the programs as it is: make does not expand it, and no shell reads it.
quoted = '$(subst ','\'',$(value $1))'
# For Snakemake it is a text in YAML, which a # would otherwise end, between spaces, without which it loses its quotes.
text = "$(subst ",\",$(subst \,\\,$(value $1)))"
CONFIG = $(foreach name,scale dataset seeds steps out,$(if $(value $(name)),$(name)=' $(subst ','\'',$(call text,$(name))) '))

define newline


endef
typed := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(SETTINGS),$(typed)),$(error unknown setting '$(name)'; the settings are $(SETTINGS)))
$(foreach name,$(SETTINGS),$(if $(findstring $$,$(value $(name)))$(findstring $(newline),$(value $(name))),\
  $(error $(name) must be one line without a dollar sign)))

.PHONY: help book test test-slow test-networks data bench gpu serve clean venv

help:
	@echo "make book    train, measure and print both editions into build/html (scale=smoke|cpu|gpu|paper)"
	@echo "make test    prove the code, the notebooks and the pages"
	@echo "make test-slow   prove the rest: odd programs, notebooks run again, processes that die or share a training (CI does)"
	@echo "make test-networks   prove the functions for whole networks on those of torchvision and timm (twenty minutes)"
	@echo "make data    fetch MNIST into data/, or where BN_DATA points; dataset=tiny-imagenet fetches that"
	@echo "make bench   measure how fast the layers, the training and the book are, as ratios"
	@echo "make gpu     on a machine with CUDA: test, tune and measure the kernels, and train, in so many minutes=12"
	@echo "make serve   show the book at http://localhost:8000"
	@echo "make clean   remove build/; finished runs stay in runs/"

# Snakemake has a process group of its own (set -m), so that what ends make ends all of it, as Ctrl-C would.
book: SHELL := bash
book: $(BIN)/ready
	@set -m; snakemake book --cores $(call quoted,CORES) --rerun-incomplete --quiet rules --config $(CONFIG) & set +m; \
	trap "kill -INT -$$!" INT TERM HUP; \
	while wait $$!; kill -0 $$! 2>/dev/null; do :; done; \
	wait $$! || { \
	  test $$? != 2 || exit 2; \
	  echo "The book is not finished; the lines above say why. What was trained is kept: the same command goes on from it."; \
	  echo "(If an earlier make book was killed and left the folder locked, type first: $(BIN)/snakemake --unlock)"; exit 1; }
	@echo "The book is ready: open" $(call quoted,out)/html/index.html

# A file is one process's work, and tests/conftest.py has those first that take longest.
PYTEST = pytest --numprocesses $(call quoted,CORES) --dist loadfile --no-loadscope-reorder

test: $(BIN)/ready
	ruff check bn book tests notebooks
	ruff format --check bn book tests notebooks
	$(PYTEST) -m 'not slow'

test-slow: $(BIN)/ready
	$(PYTEST) -m slow

# Writes book/networks.json, from which the page on the package has its counts.
test-networks: $(BIN)/networks
	pytest tests/real_networks.py --show-capture=no

data: $(BIN)/ready
	python -m bn.lab.data.fetch $(if $(value dataset),$(call quoted,dataset))

bench: $(BIN)/ready
	python -m bn.lab.chapters.kernels
	python -m bn.lab.bench

# With the Python that has torch for CUDA: nothing is set up. `make gpu minutes=60 options="--skip training"`
gpu:
	$(call quoted,PYTHON) -m bn.lab.gpu --minutes $(call quoted,minutes) $(foreach word,$(value options),'$(subst ','\'',$(word))')

serve: $(BIN)/ready
	python -m http.server 8000 --bind 127.0.0.1 --directory $(call quoted,out)/html

clean:
	rm -rf build .snakemake .pytest_cache .ruff_cache

$(BIN)/ready: pyproject.toml | venv
	@$(call quoted,PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, but {sys.argv[1]} is {sys.version.split()[0]}; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)' $(call quoted,PYTHON)
	@echo "Setting up .venv with the pinned packages: a few minutes and about 3 GB, once."
	@# All the extras by name, so that pip meets torch's pin at once and not after a newer one with CUDA.
	$(call quoted,PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab,book,test]'
	@touch $@

# torch is there already, and pip leaves what fits as it is.
$(BIN)/networks: $(BIN)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[networks]'
	@touch $@

# The programs in .venv/bin name their Python by its full path; where that is not here, none of them runs.
venv:
	@here="$$(pwd -P)/$(BIN)/python"; test ! -e $(BIN)/ready || { $(BIN)/python -c '' && \
	head -n 2 $(BIN)/snakemake | grep -qF -e "#!$$here" -e "exec' $$here" -e "exec' \"$$here"; } 2>/dev/null || { \
	  echo "This folder was moved, or the Python that .venv was made with is gone: .venv must be made again."; \
	  echo "Type rm -rf .venv, then the same command: a few minutes and about 3 GB."; exit 1; }
