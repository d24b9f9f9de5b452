"""What every benchmark of searches is told."""

import argparse
from pathlib import Path


def search_parser(description: str | None, results: str) -> argparse.ArgumentParser:
    """Return a parser of the base network, the data, the table, and where results go."""
    parser = argparse.ArgumentParser(description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in ("--base", "--data", "--lut"):
        parser.add_argument(name, required=True)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results") / results)
    return parser
