"""One visit to a borrowed GPU: in a few minutes everything that only a GPU can say, and what it said kept as it goes.

`python -m bn.lab.gpu` plans the stages (`stages`), runs each as a process of its own (`watch`) in a copy of the tree
(`tree`), and keeps what exists in a few small files (`output`); the next visit goes on from there (`visit`).
"""
