"""The laboratory's tests prove bytes, which only a CPU gives back twice; those in a file for a GPU say so."""

import pytest

from bn.lab.store import workers


@pytest.fixture(autouse=True)
def on_a_cpu(request, monkeypatch):
    """Hide the GPU from what is trained, here and in processes that are started here."""
    if "gpu" not in request.keywords:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setattr(workers, "device", lambda: "cpu")
