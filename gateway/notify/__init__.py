"""Telling people: text messages and mail."""
