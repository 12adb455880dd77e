"""What carries approved stukken to Digipoort and the banks: WUS 2.0 for companies, version 1.2."""
