"""The words of notebook 08, in both languages, a part of `bn.lab.text`."""

WORDS = {}

TITLES = {}

ESTIMATES = {}
