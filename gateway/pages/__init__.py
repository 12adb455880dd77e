"""The browser's side: one module per menu item, on one middleware stack."""
