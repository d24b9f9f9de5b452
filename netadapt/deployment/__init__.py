from netadapt.deployment.api import Exported, check_request, export
from netadapt.deployment.deployed import DeployedNetwork

__all__ = ["DeployedNetwork", "Exported", "check_request", "export"]
