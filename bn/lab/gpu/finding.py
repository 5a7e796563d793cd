"""What a stage has found so far, in a file that is rewritten as it goes: a kill leaves what was known before it."""

import json
from pathlib import Path

from bn.lab.store import files


def tell(path: Path | None, sentence: str, **data: object) -> None:
    """Print a sentence, and keep it with its data as JSON, where there is a path."""
    print(sentence, flush=True)
    if path is not None:
        files.write_atomically(path, json.dumps({"finding": sentence, **data}, ensure_ascii=False).encode())
