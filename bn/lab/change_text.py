"""The words of notebooks 09 and 10, in both languages, a part of `bn.lab.text`."""

WORDS = {}

TITLES = {}

ESTIMATES = {}
