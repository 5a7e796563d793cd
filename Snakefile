"""The batch: every notebook in every language by papermill, then every edition of the book.

    snakemake --cores 2 book                              the book at the default scale, in build/html
    snakemake --cores 2 book --config scale=smoke         the same in seconds, to try the machinery
    snakemake --cores 2 build/notebooks/en/01_algorithm.ipynb
    snakemake --cores 1 catalogues                        new English sentences into book/locale/ar

Settings for --config: scale, dataset, seeds, steps (parameters of the notebooks) and out (where to write).
"""

import json
import os
import sys
from glob import glob
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

# By their files: to import them would import torch, which takes longer than all the rest where nothing is to be done.
paths, spec = (SimpleNamespace(**run_path(f"bn/lab/{name}.py")) for name in ("paths", "spec"))
try:
    PARAMETERS, OUT = spec.batch(config)
except spec.ParameterError as error:
    print(error, file=sys.stderr)
    sys.exit(2)  # it is asked wrongly

OUT = os.path.normpath(OUT)
LANGUAGES = ["en", "ar"]
CHAPTERS = glob_wildcards("bn/lab/chapters/{name,[^/.]+}/__init__.py").name
NOTEBOOKS = [n for n in glob_wildcards("notebooks/{name,[0-9][0-9]_[^/.]+}.ipynb").name if n[3:] in CHAPTERS]
MOST = 16  # processes of a notebook: with more cores than that, more notebooks at once
CORES = min(workflow.resource_settings.cores or MOST, MOST)
PACKAGE = [f for kind in ("py", "mplstyle", "html") for f in glob(f"bn/**/*.{kind}", recursive=True)]
EVIDENCE = glob("book/claims/*.yml") + glob("book/records/**/*.*", recursive=True)
WORDS = [f"book/locale/ar/LC_MESSAGES/{name}.po" for name in ("lab", "claims")]
PAGES = [f for f in glob("book/**/*.*", recursive=True) if not f.endswith((".mo", ".pyc", ".yml", ".json"))]
PAGES += ["book/errata.yml", "book/map.yml"]
PAGES += ["book/_config.yml", "book/_config.ar.yml", "book/_toc.yml", "book/networks.json"]


def own(chapter):
    """What belongs to one chapter: a change there is none of the others."""
    places = f"bn/lab/chapters/{chapter}/", f"book/claims/{chapter}.yml", f"book/records/{chapter}/"
    return [f for f in PACKAGE + EVIDENCE if f.startswith(places)]


def on_gpu(w):
    """Whether a notebook trains on a GPU."""
    return w.language == "en" and PARAMETERS["scale"] in ("gpu", "paper")


def share(w):
    """Two English notebooks share the cores: while one imports, measures or draws in one thread, the other trains."""
    if on_gpu(w):
        return CORES
    return -(-CORES // 2) if w.language == "en" else 1


# By the time that their notebooks take where two of them share two cores.
LONGEST = ["activations", "convolution", "regularization", "learning_rates", "motivation", "since_then"]
LONGEST += ["ablations", "kernels", "training_speed", "ensemble"]


def early(w):
    """The notebooks that take longest begin first: one that begins last leaves a core without work."""
    chapter = w.name[3:]
    return len(LONGEST) - LONGEST.index(chapter) if w.language == "en" and chapter in LONGEST else 0


OWN = {chapter: own(chapter) for chapter in CHAPTERS}
SHARED = sorted({*PACKAGE, *EVIDENCE}.difference(*OWN.values()))
# The chapters that take the digits that are in the data folder where no data set is named.
CODE = {name: "".join(Path(f).read_text("utf-8") for f in files if f.endswith(".py")) for name, files in OWN.items()}
OF_DIGITS = {name for name, code in CODE.items() if "DigitSpec" in code}


wildcard_constraints:
    language="|".join(LANGUAGES),
    name="|".join(NOTEBOOKS),


localrules:
    book,
    welcome,


rule book:
    input:
        expand("{out}/html/{language}", out=OUT, language=LANGUAGES),
        f"{OUT}/html/index.html",
    default_target: True


# English trains; Arabic waits for it, finds the runs finished and only draws again.
rule notebook:
    input:
        SHARED,
        lambda w: OWN[w.name[3:]],
        lambda w: [] if w.language == "en" else WORDS,
        notebook="notebooks/{name}.ipynb",
        trained=lambda w: [] if w.language == "en" else f"{OUT}/notebooks/en/{w.name}.ipynb",
    output:
        f"{OUT}/notebooks/{{language}}/{{name}}.ipynb",
    log:
        f"{OUT}/notebooks/{{language}}/{{name}}.log",
    params:
        asked=lambda w: json.dumps(PARAMETERS | {"language": w.language}),
        unfinished=f"{OUT}/notebooks/{{language}}/unfinished-{{name}}.ipynb",
        # Not for the command: when MNIST comes or goes, what was run with the other digits runs again.
        auto=lambda w: paths.digits() if w.name[3:] in OF_DIGITS and "dataset" not in PARAMETERS else "",
    threads: share
    priority: early
    resources:
        gpu=lambda w: int(on_gpu(w)),
    shell:
        # The output gets its name only when the last cell has run: a killed notebook never counts as done.
        # grep leaves the progress of the training and takes out papermill's word on each cell.
        "BN_CORES={CORES} papermill {input.notebook:q} {params.unfinished:q} --log-output -y {params.asked:q} 2>&1"
        " | grep --line-buffered -vE '^(Executing|Ending) Cell|HTML object|^$' | tee {log:q}"
        " && mv {params.unfinished:q} {output:q}"
        ' || {{ echo; echo "{wildcards.name} ({wildcards.language}) failed: $(grep . {log:q} | tail -n 1)"; exit 1; }}'


rule edition:
    input:
        PAGES,
        PACKAGE,
        EVIDENCE,
        expand(f"{OUT}/notebooks/{{{{language}}}}/{{name}}.ipynb", name=NOTEBOOKS),
    output:
        directory(f"{OUT}/html/{{language}}"),
    shell:
        "python book/_ext/assemble.py {wildcards.language} --out {OUT:q}"


rule welcome:
    input:
        "book/welcome.html",
    output:
        f"{OUT}/html/index.html",
    shell:
        "cp {input} {output:q}"


rule catalogues:
    shell:
        "python book/_ext/catalogues.py --out {OUT:q}"
