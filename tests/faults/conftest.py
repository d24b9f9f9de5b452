import sys
from pathlib import Path

# the small searches of the other tests
sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
