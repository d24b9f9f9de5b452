"""``python -m netadapt``."""

from netadapt.cli.main import main

main()
