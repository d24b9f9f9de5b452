import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks this small gain nothing from a second thread, and bits depend on their number."""
    torch.set_num_threads(1)
