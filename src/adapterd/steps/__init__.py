"""One arrow of the line per file: discover, settle, validate, publish; and beside it promote and export."""
