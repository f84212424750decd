"""One question per script: ``python -m experiments.NAME --help``."""
