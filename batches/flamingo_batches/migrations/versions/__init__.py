"""One module for each change of the schema; applied ones never change."""
