"""One file for each schema there was. A file is never changed once it was released."""
