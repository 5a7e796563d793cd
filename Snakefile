"""The batch: every notebook in every language by papermill, then every edition of the book.

    snakemake --cores 2 book                              the book at the default scale, in build/html
    snakemake --cores 2 book --config scale=smoke         the same in seconds, to try the machinery
    snakemake --cores 2 build/notebooks/en/01_algorithm.ipynb
    snakemake --cores 1 catalogues                        new English sentences into book/locale/ar

Settings for --config: scale, dataset, seeds, steps (parameters of the notebooks) and out (where to write).
"""

from glob import glob

OUT = config.get("out", "build")
LANGUAGES = ["en", "ar"]
CHAPTERS = glob_wildcards("bn/lab/chapters/{name,[^/.]+}/__init__.py").name
NOTEBOOKS = [n for n in glob_wildcards("notebooks/{name,[0-9][0-9]_[^/.]+}.ipynb").name if n[3:] in CHAPTERS]
PARAMETERS = {"scale": "cpu"} | {k: config[k] for k in ("scale", "dataset", "seeds", "steps") if k in config}
PACKAGE = [f for kind in ("py", "mplstyle", "html") for f in glob(f"bn/**/*.{kind}", recursive=True)]
EVIDENCE = glob("book/claims/*.yml") + glob("book/records/**/*.*", recursive=True)
WORDS = [f"book/locale/ar/LC_MESSAGES/{name}.po" for name in ("lab", "claims")]
PAGES = [f for f in glob("book/**/*.*", recursive=True) if not f.endswith((".mo", ".pyc", ".yml", ".json"))]
PAGES += ["book/_config.yml", "book/_config.ar.yml", "book/_toc.yml"]


wildcard_constraints:
    language="|".join(LANGUAGES),
    name="[^/.]+",


localrules:
    book,
    welcome,


rule book:
    input:
        expand(f"{OUT}/html/{{language}}", language=LANGUAGES),
        f"{OUT}/html/index.html",
    default_target: True


# English trains, with two processes; Arabic waits for it, finds the runs finished and only draws again.
rule notebook:
    input:
        PACKAGE,
        EVIDENCE,
        lambda w: [] if w.language == "en" else WORDS,
        notebook="notebooks/{name}.ipynb",
        trained=lambda w: [] if w.language == "en" else f"{OUT}/notebooks/en/{w.name}.ipynb",
    output:
        f"{OUT}/notebooks/{{language}}/{{name}}.ipynb",
    log:
        f"{OUT}/notebooks/{{language}}/{{name}}.log",
    params:
        parameters=" ".join(f"-p {key} {value}" for key, value in PARAMETERS.items()),
        unfinished=f"{OUT}/notebooks/{{language}}/unfinished-{{name}}.ipynb",
    threads: lambda w: 2 if w.language == "en" else 1
    resources:
        gpu=lambda w: int(w.language == "en" and PARAMETERS["scale"] in ("gpu", "paper")),
    shell:
        # The output gets its name only when the last cell has run: a killed notebook never counts as done.
        # grep leaves the progress of the training and takes out papermill's word on each cell.
        "papermill {input.notebook} {params.unfinished} --log-output"
        " -p language {wildcards.language} {params.parameters} 2>&1"
        " | grep --line-buffered -vE '^(Executing|Ending) Cell|HTML object|^$' | tee {log}"
        " && mv {params.unfinished} {output}"
        ' || {{ echo; echo "{wildcards.name} ({wildcards.language}) failed: $(grep . {log} | tail -n 1)"; exit 1; }}'


rule edition:
    input:
        PAGES,
        PACKAGE,
        EVIDENCE,
        expand(f"{OUT}/notebooks/{{{{language}}}}/{{name}}.ipynb", name=NOTEBOOKS),
    output:
        directory(f"{OUT}/html/{{language}}"),
    shell:
        "python book/_ext/assemble.py {wildcards.language} --out {OUT}"


rule welcome:
    input:
        "book/welcome.html",
    output:
        f"{OUT}/html/index.html",
    shell:
        "cp {input} {output}"


rule catalogues:
    shell:
        "python book/_ext/catalogues.py --out {OUT}"
