from netadapt.report.page.html import write_page
from netadapt.report.page.server import serve

__all__ = ["serve", "write_page"]
