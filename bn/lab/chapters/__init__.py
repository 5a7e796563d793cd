"""What each chapter asks and finds, a folder a chapter: see `bn.lab.registry` for what such a folder holds."""
