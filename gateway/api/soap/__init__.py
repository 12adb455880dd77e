"""The interface for packages in SOAP: the operations of REST, in the manner of AFAS's
communication service."""
