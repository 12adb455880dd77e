"""What a SOAP service is spoken to with: WSDL, profile, client, streamed content."""
