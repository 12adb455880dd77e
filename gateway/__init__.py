"""MijnAccountantsPortal: a gateway between accountancy firms, their clients and government."""

__version__ = "0.1.0"
