"""Parts of a record: those that are finished, where some runs are missing, and those that are smaller than the rest."""


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


def sized(record: dict, part: str | None) -> dict:
    """The record with the size of one of its parts, for which it asked fewer steps or seeds than in the paper."""
    if part is None:
        return record
    of = {name: record[part][name] for name in ("steps", "seeds") if name in record[part]}
    return record | {"papers_own_size": False, "asked": record["asked"] | of}
