# The few commands a person types. Each sets up .venv the first time.

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# `make book scale=paper dataset=mnist seeds=5 steps=50000`: any of them, all optional
CONFIG := $(foreach name,scale dataset seeds steps,$(if $($(name)),$(name)=$($(name))))

.PHONY: help book test data bench bench-gpu serve clean

help:
	@echo "make book    train, measure and print both editions into build/html (scale=smoke|cpu|gpu|paper)"
	@echo "make test    prove the code, the notebooks and the pages"
	@echo "make data    fetch MNIST into data/, or where BN_DATA points; dataset=tiny-imagenet fetches that"
	@echo "make bench   measure how fast the layers, the training and the book are, as ratios"
	@echo "make bench-gpu   on a machine with CUDA: measure the kernels, for book/records/kernels/gpu.json"
	@echo "make serve   show the book at http://localhost:8000"
	@echo "make clean   remove build/; finished runs stay in runs/"

book: $(BIN)/ready
	@snakemake book --cores $(CORES) --rerun-incomplete --quiet rules $(if $(CONFIG),--config $(CONFIG)) || { \
	  echo "The book is not finished; the lines above say why. What was trained is kept: type the same command again."; \
	  echo "(If an earlier make book was killed and left the folder locked, type first: $(BIN)/snakemake --unlock)"; exit 1; }
	@echo "The book is ready: open build/html/index.html"

test: $(BIN)/ready
	ruff check bn book tests notebooks
	ruff format --check bn book tests notebooks
	pytest

data: $(BIN)/ready
	python -m bn.lab.data.fetch $(dataset)

bench: $(BIN)/ready
	python -m bn.lab.chapters.kernels
	python -m bn.lab.bench

# Goes on where an earlier call ended; `make bench-gpu options="--quick"` measures fewer cases.
bench-gpu: $(BIN)/ready
	python -m bn.lab.chapters.kernels --scale gpu $(options)

serve: $(BIN)/ready
	python -m http.server 8000 --bind 127.0.0.1 --directory build/html

clean:
	rm -rf build .snakemake .pytest_cache .ruff_cache

$(BIN)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv with the pinned packages: a few minutes and about 3 GB, once."
	@# All the extras by name, so that pip meets torch's pin at once and not after a newer one with CUDA.
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab,book,test]'
	@touch $@
