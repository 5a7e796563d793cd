"""Records of which some runs are missing: what may be judged by them, and what has to wait."""


class Unfinished(LookupError):
    """An estimate needs a network of which not all runs are finished."""


class _Finished(dict):
    def __missing__(self, name: str) -> dict:
        raise Unfinished(name)


def finished(record: dict) -> dict:
    """The record without the networks that its `missing` names; who asks for one of these raises Unfinished."""
    lacking: dict[str, set[str]] = {}
    for entry in record.get("missing", ()):
        lacking.setdefault(entry["part"], set()).add(entry["network"])
    kept = {
        part: _Finished({name: network for name, network in record.get(part, {}).items() if name not in names})
        for part, names in lacking.items()
    }
    return record | kept
