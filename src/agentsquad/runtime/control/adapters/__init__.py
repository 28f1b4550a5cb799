"""The world outside control: files and the expression language."""
