"""The input folder: a file that is put into it becomes an upload."""
