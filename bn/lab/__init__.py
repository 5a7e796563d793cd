"""The laboratory: trains, measures, judges and draws what the notebooks ask for."""
