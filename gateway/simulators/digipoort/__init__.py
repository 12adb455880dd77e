"""Digipoort, or the banks' gateway (BIV), as a program: WUS 2.0 for companies, version 1.2.

It takes signed deliveries over mutual TLS, books each as a new process, tells its statuses by a
clock that may run faster, and goes wrong in every way that was asked for. It keeps no document,
only sizes and hashes.
"""
